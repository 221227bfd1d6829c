"""``git apply`` as pybuild calls it."""

from __future__ import annotations

import os
from pathlib import Path

from pybuilder.processes import Completed, run

_SECONDS = 600.0


def environment() -> dict[str, str]:
    """An environment in which git reads nobody's settings and speaks English."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
    }


def git_apply(tree: Path, patch: bytes, *options: str) -> Completed:
    """Run ``git apply`` with the text of a patch on a tree that is in no repository."""
    # GIT_DIR names no repository, so there is none for git: neither one around the tree, in which it would take our
    # paths for others and apply nothing, nor one that the source brought along with settings that run programs.
    nowhere = {"GIT_DIR": "/dev/null/none", "GIT_CEILING_DIRECTORIES": str(tree.resolve().parent)}
    argv = ["git", "apply", "-p1", *options, "-"]
    return run(argv, cwd=tree, env=environment() | nowhere, timeout=_SECONDS, input=patch)
