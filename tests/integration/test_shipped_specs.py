"""The specs of this repository: sound, pinned, and enough for each other. Building them is the benchmark's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pybuilder.lint import lint
from pybuilder.processes import run
from pybuilder.workspace import Workspace

ROOT = Path(__file__).parents[2]
WORKSPACE = Workspace.open(ROOT, run=run)

# Issues 2 and 3 name these; the rest is what they need.
PROMISED = {
    "flit-core",
    "setuptools",
    "wheel",
    "packaging",
    "pluggy",
    "pathspec",
    "calver",
    "trove-classifiers",
    "hatchling",
    "hatch-vcs",
    "hatch-fancy-pypi-readme",
    "setuptools-scm",
    "poetry-core",
    "six",
    "typing-extensions",
    "idna",
    "certifi",
    "urllib3",
    "charset-normalizer",
    "requests",
    "markupsafe",
    "jinja2",
    "cython",
    "pyyaml",
    "click",
    "attrs",
    "cffi",
    "pycparser",
    "lxml",
    "pillow",
    "numpy",
}


def test_the_workspace_is_sound() -> None:
    assert [str(problem) for problem in lint(WORKSPACE)] == []


def test_what_was_promised_is_there() -> None:
    assert set(WORKSPACE.spec_names()) >= PROMISED


@pytest.mark.parametrize("name", WORKSPACE.spec_names())
def test_each_spec_pins_a_source_and_says_what_it_is_for(name: str) -> None:
    spec = WORKSPACE.spec(name)
    assert spec is not None
    assert spec.versions
    for version, pin in spec.versions.items():
        assert pin.sha256 and str(version) in pin.file
        assert re.sub("[-_.]+", "-", pin.file).startswith(name)
    assert re.match(rf'name = "{name}"\n# .+ · .+\n', WORKSPACE.spec_path(name).read_text())


def test_six_is_the_version_of_the_readme() -> None:
    spec = WORKSPACE.spec("six")
    assert spec is not None and [str(version) for version in spec.versions] == ["1.17.0"]
    assert "six==1.17.0" in (ROOT / "README.md").read_text()


def test_c_extensions_name_their_compiler_and_are_imported() -> None:
    for name, module in [
        ("cffi", "_cffi_backend"),
        ("lxml", "lxml.etree"),
        ("markupsafe", "markupsafe._speedups"),
        ("numpy", "numpy.linalg"),
        ("pillow", "PIL._imaging"),
        ("pyyaml", "yaml._yaml"),
    ]:
        spec = WORKSPACE.spec(name)
        assert spec is not None
        assert "gcc" in spec.system.build
        assert module in spec.test.imports


@pytest.mark.parametrize("patch", sorted((ROOT / "patches").glob("*/*.patch")), ids=lambda path: path.name)
def test_each_patch_says_why(patch: Path) -> None:
    about = patch.read_text().partition("\n--- ")[0].strip().splitlines()
    assert len(about) >= 3 and about[0].strip() and not about[1]
