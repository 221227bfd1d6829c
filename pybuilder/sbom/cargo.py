"""The crates of a Cargo.lock (the Cargo Book, "Cargo.toml vs Cargo.lock"; its format is Cargo's own)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tomli


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Crate:
    """A crate that is none of the source's own.

    Attributes:
        name: Its name.
        version: Its version.
        source: Where Cargo has it from, as the lock says: ``registry+URL`` or ``git+URL#COMMIT``.
        sha256: The digest of its ``.crate`` file, in lower-case hex; empty for one from git.
        locked_in: The lock, by its path in the source.
    """

    name: str
    version: str
    source: str
    sha256: str
    locked_in: str


def locked_crates(data: bytes, path: str) -> tuple[Crate, ...] | None:
    """The crates that a lock names and that come from elsewhere, sorted; None if it is no lock.

    A lock does not say which of them one platform or one feature needs: all are given.

    Args:
        data: The lock's bytes.
        path: Its path in the source.
    """
    try:
        lock = tomli.loads(data.decode())
        # In the oldest form of a lock, checksums stand apart.
        apart = lock.get("metadata", {})
        return tuple(sorted({_crate(each, apart, path) for each in lock.get("package", []) if each.get("source")}))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _crate(raw: Mapping[str, Any], apart: Mapping[str, Any], path: str) -> Crate:
    name, version, source = str(raw["name"]), str(raw["version"]), str(raw["source"])
    checksum = str(raw.get("checksum") or apart.get(f"checksum {name} {version} ({source})", ""))
    is_sha256 = len(checksum) == 64 and not set(checksum) - set("0123456789abcdef")
    return Crate(name=name, version=version, source=source, sha256=checksum if is_sha256 else "", locked_in=path)
