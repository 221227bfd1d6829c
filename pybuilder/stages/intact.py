"""Whether what was stored and published is still there; asking costs next to nothing where nobody touched it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.stages import Adapters
from pybuilder.state import PublishedWheel

_FACT = "intact"
_Get = Callable[[str], Path | None]


def intact_source(adapters: Adapters, sha256: str) -> Path | None:
    """A source in the store; one that is damaged is set aside, and isn't there."""
    return _intact(adapters, sha256, adapters.store.source, adapters.store.sound_source)


def intact_payload(adapters: Adapters, sha256: str) -> Path | None:
    """A payload in the store; one that is damaged is set aside, and isn't there."""
    return _intact(adapters, sha256, adapters.store.payload, adapters.store.sound_payload)


def published_wheels(adapters: Adapters, name: NormalizedName, version: Version) -> list[PublishedWheel]:
    """The wheels of a version that the channel has published.

    One that somebody has taken out of the index is published no more; its number is not given again.
    """
    recorded = adapters.state.published(adapters.channel.name, name, str(version))
    return [wheel for wheel in recorded if adapters.layout.wheel(wheel.channel, wheel.wheel).exists()]


def _intact(adapters: Adapters, sha256: str, find: _Get, read: _Get) -> Path | None:
    """What is found, read through unless it has been since it was last changed.

    That a disk has changed it behind the file system's back is seen by who reads it for a build or for publishing.
    """
    file = find(sha256)
    if file is None:
        return None
    facts = file.stat()
    seen = [facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]
    if adapters.state.fact(_FACT, sha256) == seen:
        return file
    file = read(sha256)
    if file is not None:
        adapters.state.add_fact(_FACT, sha256, seen)
    return file
