"""Lets a backend see the same in every run where Python itself leaves it to chance.

Runs inside, like ``inside.py``: standard library only, and no import of pybuild. A file system lists a directory in the
order that suits it, and many a backend takes files as they come: here they come in order of name. Temporary files get
names by lot, which compilers write into what they make: here they are counted. What a backend starts as a process of
its own is not reached; ``pybuild check`` finds what comes of that.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def sort_directories() -> None:
    """Let ``os.listdir`` and ``os.scandir``, and so ``os.walk``, ``glob`` and ``pathlib``, tell names in order."""
    real_listdir, real_scandir = os.listdir, os.scandir

    def listdir(path: Any = None) -> list[Any]:
        return sorted(real_listdir(path))

    def scandir(path: Any = None) -> Entries:
        return Entries(real_scandir(path))

    for real, ours in ((real_listdir, listdir), (real_scandir, scandir)):
        setattr(os, real.__name__, ours)
        # By it others see what can be asked with a descriptor, such as shutil.rmtree.
        os.supports_fd.add(ours)
    # Python 3.13 keeps what it found when glob was imported, which a .pth file may have done before us.
    globber = getattr(sys.modules.get("glob"), "_StringGlobber", None)
    if getattr(globber, "scandir", None) is real_scandir:
        globber.scandir = staticmethod(scandir)  # type: ignore[union-attr]


class Entries:
    """What ``os.scandir`` returns, in order of name."""

    def __init__(self, found: Any) -> None:
        with found:
            self._entries = iter(sorted(found, key=lambda entry: entry.name))

    def __iter__(self) -> Entries:
        return self

    def __next__(self) -> Any:
        return next(self._entries)

    def __enter__(self) -> Entries:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Tell nothing more."""
        self._entries = iter(())


def name_temporaries() -> None:
    """Let ``tempfile`` count; a name that is taken is passed over, as it is among those by lot."""
    tempfile._name_sequence = Names()  # type: ignore[attr-defined]


class Names:
    """Eight characters each, as ``tempfile`` has them."""

    def __init__(self) -> None:
        # Counting is atomic; nothing else here is shared by threads.
        self._numbers = itertools.count()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return f"{next(self._numbers):08}"
