"""Small disks of a test's own, which need root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def need_root() -> None:
    """Say how the tests are run where they can't mount."""
    assert os.geteuid() == 0, "this test mounts a file system: run the tests as root, as README's command does"


@contextmanager
def disk(at: Path, options: str) -> Iterator[None]:
    """A file system in memory; ``options`` as mount(8) takes them."""
    need_root()
    at.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "pybuild-test", at], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", at], check=True)


def remount(at: Path, options: str) -> None:
    """Change the options of a disk."""
    subprocess.run(["mount", "-o", f"remount,{options}", at], check=True)
