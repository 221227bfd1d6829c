"""What a root's Python is as a target, found out by asking it, sealed like a build."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pybuilder.errors import EngineError
from pybuilder.facts import Facts
from pybuilder.layout import Layout
from pybuilder.plan import BUILD_PATH, Target, digest
from pybuilder.sandbox import OUTPUT_PATH, Engine, Job, Limits, build_environ
from pybuilder.work import work_directory

_LARGEST = 1 << 20  # bytes of an answer
_ASK = f"""
import json, sys, sysconfig
sys.path.insert(0, {BUILD_PATH!r})
from packaging.markers import default_environment
from packaging.tags import sys_tags
answer = {{
    "python": list(sys.version_info[:3]),
    "platform": sysconfig.get_platform(),
    "tags": [str(tag) for tag in sys_tags()],
    "markers": default_environment(),
    "prefix": sys.base_prefix,
}}
with open("{OUTPUT_PATH}/target.json", "w") as file:
    json.dump(answer, file)
"""


def target_in(root: Path, *, python: str, engine: Engine, layout: Layout, facts: Facts, known_as: str) -> Target:
    """The target that a root's Python is.

    Args:
        root: The root's tree.
        python: The Python, ``/usr/bin/python3.14``.
        engine: Makes sealed places.
        layout: Where it works.
        facts: Where the answer is remembered.
        known_as: The root's digest, under which it is.

    Raises:
        EngineError: It can't be asked, or it answers rubbish.
    """
    key = digest([known_as, python])
    answer = facts.fact("target", key)
    if answer is None:
        answer = _ask(root, python, engine, layout)
        facts.add_fact("target", key, answer)
    try:
        return target_of(answer["python"], answer["platform"], tags=answer["tags"], markers=answer["markers"])
    except (KeyError, TypeError, ValueError) as error:
        raise EngineError(f"{python} of the root does not answer like a Python", where=str(root)) from error


def target_of(python: Iterable[int], platform: str, *, tags: Iterable[str], markers: Mapping[str, str]) -> Target:
    """The target that a Python is, by what it says of itself.

    Args:
        python: Its version, of three numbers.
        platform: As ``sysconfig.get_platform`` has it.
        tags: Those that it accepts, the best first.
        markers: Its environment (PEP 508).

    Raises:
        ValueError: The version has more numbers, or fewer.
    """
    major, minor, micro = python
    return Target(
        name=f"cp{major}{minor}-{platform.replace('-', '_')}",
        python=f"{major}.{minor}",
        full_version=f"{major}.{minor}.{micro}",
        tags=tuple(tags),
        # The kernel is the machine's, not the target's: it may not decide what is required.
        markers={**markers, "platform_release": "", "platform_version": ""},
    )


def _ask(root: Path, python: str, engine: Engine, layout: Layout) -> Any:
    import packaging

    with work_directory(layout, f"target-{secrets.token_hex(4)}") as work:
        (work / "build").mkdir()
        (work / "env").mkdir()
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(packaging.__file__).parent, work / "build" / "packaging", ignore=ignored)
        job = Job(
            root=root,
            environment=work / "env",
            work=work,
            cwd=BUILD_PATH,
            env=build_environ(source_date_epoch=0, build_dir=BUILD_PATH, extra={}),
            steps=({"do": "run", "argv": [python, "-I", "-S", "-B", "-c", _ASK]},),
            limits=Limits(seconds=60),
            log=work / "log",
        )
        outcome = engine.run(job, answer=lambda event: True)
        if outcome.failure:
            said = (work / "log").read_text(errors="replace").strip()
            raise EngineError(f"{python} of the root can't be asked what it is: {outcome.failure}", where=said[-500:])
        with (work / "out" / "target.json").open("rb") as file:
            return json.loads(file.read(_LARGEST))
