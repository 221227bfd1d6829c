"""The one place that runs uv."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pybuilder import processes
from pybuilder.errors import EngineError
from pybuilder.files import disk_errors
from pybuilder.resolution import Chosen

_LINE = re.compile(r"([A-Za-z0-9._-]+)(?:\[([^\]]*)\])?==(\S+)")

# Seconds. An answer of the view may take as long as downloading a source does, and has limits of its own.
_PATIENCE = 24 * 3600

# Requests. More only compete for the lock of our interpreter: 50, uv's default, take twice the time.
_AT_ONCE = "16"


def find_uv() -> str:
    """The path of uv's program.

    Raises:
        EngineError: It is not installed.
    """
    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError) as error:
        raise EngineError("uv is missing", cure=f"{sys.executable} -m pip install 'uv>=0.13'") from error


def compile_requirements(
    wanted: Iterable[str],
    *,
    constraints: Iterable[str],
    preferred: Mapping[NormalizedName, Sequence[Version]],
    prereleases: Collection[NormalizedName],
    index: str,
    cache: Path,
) -> Chosen | processes.Completed:
    """Ask uv once.

    Args:
        wanted: Requirements without markers.
        constraints: The same.
        preferred: Versions that are taken if they satisfy; of several the newest.
        prereleases: Packages of which prereleases count like other versions.
        index: The only index it sees.
        cache: What uv keeps about our interpreter.

    Returns:
        What it chose, or how it ended if it chose nothing.

    Raises:
        EngineError: uv is missing, or answers what nobody understands.
        StateError: The directory for temporary files can't be written.
    """
    with disk_errors(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory(prefix="pybuild-uv-") as scratch:
        bounds, answer = Path(scratch, "constraints.txt"), Path(scratch, "chosen.txt")
        bounds.write_text("".join(f"{line}\n" for line in constraints))
        # uv prefers what an earlier answer says.
        answer.write_text("".join(f"{name}=={v}\n" for name, versions in preferred.items() for v in versions))
        argv = [
            *(find_uv(), *_arguments(prereleases)),
            *("--constraints", str(bounds), "--output-file", str(answer)),
        ]
        done = processes.run(
            argv,
            cwd=Path(scratch),
            env=_environment(index, home=scratch, cache=cache),
            input="".join(f"{line}\n" for line in wanted).encode(),
        )
        return parse_chosen(answer.read_text()) if done.returncode == 0 else done


def decisive(prereleases: Collection[NormalizedName]) -> list[Any]:
    """What decides on uv's answer besides the requirements and what the index says: as JSON, to be compared.

    Raises:
        EngineError: uv is missing.
    """
    program = find_uv()
    facts = os.stat(program)
    identity = [program, facts.st_size, facts.st_mtime_ns, sys.version]
    return [identity, _arguments(prereleases), _environment("", home="", cache=Path())]


def _arguments(prereleases: Collection[NormalizedName]) -> list[str]:
    """The arguments, but for the names of temporary files."""
    return [
        *("pip", "compile", "-", "--quiet", "--no-build", "--python", sys.executable, "--format", "requirements.txt"),
        *("--prerelease", "if-necessary-or-explicit"),
        *("--no-header", "--no-annotate", "--no-strip-extras", "--keyring-provider", "disabled"),
        *(word for name in sorted(prereleases) for word in ("--prerelease-package", f"{name}=allow")),
    ]


def _environment(index: str, *, home: str, cache: Path) -> dict[str, str]:
    """The whole environment of uv: nothing of the user's, no proxy, and no index but ours."""
    return {
        "HOME": home,
        "NO_COLOR": "1",
        "UV_CACHE_DIR": str(cache),
        "UV_CONCURRENT_DOWNLOADS": _AT_ONCE,
        # Here and not in the arguments, which every user of the machine can read.
        "UV_DEFAULT_INDEX": index,
        "UV_HTTP_RETRIES": "0",
        "UV_HTTP_TIMEOUT": str(_PATIENCE),
        "UV_NO_CONFIG": "1",
        "UV_NO_WRAP": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }


def parse_chosen(text: str) -> Chosen:
    """What uv chose, from its requirements file.

    Raises:
        EngineError: A line is no pinned requirement.
    """
    chosen: dict[NormalizedName, tuple[Version, frozenset[str]]] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise EngineError(f"uv answers {line!r}, which is no pinned requirement", cure="install another uv")
        name, extras, version = found.groups()
        wanted = frozenset(canonicalize_name(extra.strip()) for extra in (extras or "").split(",") if extra.strip())
        chosen[canonicalize_name(name)] = Version(version), wanted
    return chosen
