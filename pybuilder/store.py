"""The content-addressed store: what is in it has the digest it is filed under."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pybuilder.files import atomic_dir, disk_errors
from pybuilder.layout import Layout


@dataclass(frozen=True, slots=True)
class Store:
    """Sources, RPMs and payloads by sha256; each is a directory that holds one file under its own name."""

    layout: Layout

    def source(self, sha256: str) -> Path | None:
        """The stored source archive with this digest, or None."""
        return _only_file(self.layout.source(sha256))

    def payload(self, sha256: str) -> Path | None:
        """The stored payload wheel with this digest, or None."""
        return _only_file(self.layout.payload(sha256))

    def rpm(self, sha256: str) -> Path | None:
        """The stored RPM with this digest, or None."""
        return _only_file(self.layout.rpm(sha256))

    def add_source(self, file: Path, *, sha256: str, name: str) -> Path:
        """Move a verified file (on the same file system) into the store.

        Args:
            file: The file; it is gone afterwards.
            sha256: Its digest, which the caller has computed from these bytes.
            name: The name it is kept under, such as ``six-1.17.0.tar.gz``.
        """
        return _add(self.layout.source(sha256), file, name)

    def add_payload(self, file: Path, *, sha256: str, name: str) -> Path:
        """Move a payload wheel into the store, as ``add_source`` does."""
        return _add(self.layout.payload(sha256), file, name)

    def add_rpm(self, file: Path, *, sha256: str, name: str) -> Path:
        """Move a verified RPM into the store, as ``add_source`` does."""
        return _add(self.layout.rpm(sha256), file, name)


def _only_file(directory: Path) -> Path | None:
    try:
        with os.scandir(directory) as entries:
            return next((Path(entry.path) for entry in entries if entry.is_file()), None)
    except FileNotFoundError:
        return None


def _add(directory: Path, file: Path, name: str) -> Path:
    with disk_errors(directory), atomic_dir(directory) as fresh:
        target = fresh / name
        file.replace(target)
        target.chmod(0o644)
        with target.open("rb") as stream:
            os.fsync(stream.fileno())
    stored = _only_file(directory)
    assert stored is not None, directory
    return stored
