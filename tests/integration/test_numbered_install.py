"""pip, uv and PyPA's installer each install numbered wheels, and what they install works."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pybuilder.layout import Layout
from pybuilder.wheel.numbering import number
from tests.support.wheels import Draft, stored_payload

DRAFTS = {
    "plain": Draft(
        name="demo_pkg",
        files={"demo_pkg/__init__.py": b"def main():\n    print('new script')\n"},
        entry_points="[console_scripts]\ndemo-new = demo_pkg:main\n",
    ),
    "data": Draft(
        name="Demo.Pkg",
        version="1.0+cu126",
        files={
            "demo_pkg.py": b"def main():\n    print('new script')\n",
            "Demo.Pkg-1.0+cu126.data/scripts/demo-old": b"#!python\nprint('old script')\n",
            "Demo.Pkg-1.0+cu126.data/data/share/demo.txt": b"shared",
            "Demo.Pkg-1.0+cu126.dist-info/sboms/upstream.cdx.json": b"{}",
        },
        executable=["Demo.Pkg-1.0+cu126.data/scripts/demo-old"],
        entry_points="[console_scripts]\ndemo-new = demo_pkg:main\n",
    ),
}


@pytest.fixture(scope="session")
def clean_environ() -> dict[str, str]:
    """The environment without anything that tells an installer where to look."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "PYTHON", "VIRTUAL"))
    }
    return kept | {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"}


def run(*argv, env):
    result = subprocess.run([str(word) for word in argv], env=env, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def with_pip(python: Path, wheel: Path, requirement: str, env: dict[str, str]) -> None:
    run(python, "-m", "pip", "install", "--no-index", "--no-cache-dir", "-f", wheel.parent, requirement, env=env)
    run(python, "-m", "pip", "check", env=env)


def with_uv(python: Path, wheel: Path, requirement: str, env: dict[str, str]) -> None:
    uv = [sys.executable, "-m", "uv", "pip"]
    strict = ["--no-index", "--offline", "--no-cache", "-f", wheel.parent]
    run(*uv, "install", *strict, "--python", python, requirement, env=env)
    run(*uv, "check", "--python", python, env=env)


def with_installer(python: Path, wheel: Path, requirement: str, env: dict[str, str]) -> None:
    spec = importlib.util.find_spec("installer")
    assert spec is not None and spec.origin is not None
    modules = wheel.parent / "modules"
    modules.mkdir()
    (modules / "installer").symlink_to(Path(spec.origin).parent)
    run(python, "-m", "installer", "--validate-record", "all", wheel, env=env | {"PYTHONPATH": str(modules)})


@pytest.mark.parametrize("install", [with_pip, with_uv, with_installer])
@pytest.mark.parametrize("kind", DRAFTS)
def test_a_numbered_wheel_installs_and_works(tmp_path, clean_environ, install, kind):
    draft = DRAFTS[kind]
    payload, path = stored_payload(Layout(root=tmp_path), tmp_path, draft)
    (tmp_path / "index").mkdir()
    wheel = number(path, tmp_path / "index", label="pb", number=2, sbom=b'{"bomFormat": "CycloneDX"}')
    environment = tmp_path / "venv"
    bare = [] if install is with_pip else ["--without-pip"]
    run(getattr(sys, "_base_executable", sys.executable), "-m", "venv", *bare, environment, env=clean_environ)
    python = environment / "bin" / "python"

    install(python, wheel.path, f"{payload.name}=={payload.version.public}", clean_environ)

    assert run(environment / "bin" / "demo-new", env=clean_environ) == "new script\n"
    asked = "from importlib.metadata import *; print(version('demo-pkg'), *files('demo-pkg'))"
    version, files = run(python, "-c", asked, env=clean_environ).split(" ", 1)
    assert version == str(wheel.version)
    assert f"demo_pkg-{version}.dist-info/sboms/pybuild.cdx.json" in files
    if kind == "data":
        assert run(environment / "bin" / "demo-old", env=clean_environ) == "old script\n"
        assert (environment / "share" / "demo.txt").read_text() == "shared"
        assert f"demo_pkg-{version}.dist-info/sboms/upstream.cdx.json" in files
