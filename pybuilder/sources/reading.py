"""A program: reads small archives, one request after another, for ``beside.py``.

A request is the path of an archive; the answer is what ``kept.read`` makes of it, as ``marshal`` writes it.
"""

from __future__ import annotations

import marshal
import os
import sys
from pathlib import Path

# Isolated, Python looks where packages are installed; it is to find the pybuild that has started it.
sys.path.insert(0, str(Path(__file__).parents[2]))

from pybuilder.byte_compile import serve
from pybuilder.sources.kept import read


def answer(request: bytes) -> bytes:
    """What is in an archive: the fields of each member that are no data, in order, and its data."""
    entries = read(Path(os.fsdecode(request)))
    if entries is None:
        return marshal.dumps(None)
    return marshal.dumps(
        [((each.name, each.kind, each.executable, each.mtime, each.size, each.target), data) for each, data in entries]
    )


if __name__ == "__main__":
    serve(answer)
