"""How large an archive may be, and which times and names in it are believed."""

from __future__ import annotations

import math
from typing import NamedTuple

# 1980-01-02 00:00 UTC. Zip files, and so wheels, know no time before 1980, in any time zone.
EARLIEST = 315_619_200


class Limits(NamedTuple):
    """Bounds on what is unpacked from one archive; far above any package, far below a disk.

    Attributes:
        total: Bytes of all files together.
        entries: Files, directories and links.
        ratio: How many times larger it may be than the archive; counts beyond ``free`` bytes only.
        free: Bytes that may always be unpacked, however well they were compressed.
        path: Bytes of a path below the top.
    """

    total: int = 8 << 30
    entries: int = 200_000
    ratio: int = 200
    free: int = 256 << 20
    path: int = 1024

    def bytes_of(self, archive_size: int) -> int:
        """How many bytes may come out of an archive of this size."""
        return min(self.total, max(self.free, archive_size * self.ratio))


def source_date_epoch(newest: int, now: int) -> int:
    """SOURCE_DATE_EPOCH of a source (DESIGN.md, "the payload").

    Args:
        newest: The newest time in the archive's headers, in seconds since the epoch.
        now: The time it is.

    Returns:
        ``newest`` if it lies between 1980-01-02 and now, else 1980-01-02.
    """
    return newest if EARLIEST <= newest <= now else EARLIEST


def whole_seconds(time: float) -> int:
    """A header's time as an integer; what is no finite number counts as 0 (pax headers may say ``nan``)."""
    return math.floor(time) if math.isfinite(time) else 0
