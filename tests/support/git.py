"""Small git repositories whose commits always have the same names."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

TIME = 1_600_000_000


def git(directory: Path, *arguments: str) -> str:
    """Run git without anybody's settings, at a fixed time; what it prints."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@localhost",
        "GIT_AUTHOR_DATE": f"{TIME} +0200",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@localhost",
        "GIT_COMMITTER_DATE": f"{TIME} +0200",
    }
    argv = ["git", "-c", "protocol.file.allow=always", "-C", str(directory), *arguments]
    return subprocess.run(argv, env=environ, check=True, capture_output=True, text=True).stdout.strip()


def repository(directory: Path, files: Mapping[str, bytes], *, tag: str = "") -> str:
    """Make a repository of these files, or commit them to it; the commit."""
    directory.mkdir(parents=True, exist_ok=True)
    if not (directory / ".git").exists():
        git(directory, "init", "--quiet", "--initial-branch=main")
    for path, data in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(data)
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--allow-empty", "--message=x")
    if tag:
        git(directory, "tag", "--annotate", "--message=x", tag)
    return git(directory, "rev-parse", "HEAD")
