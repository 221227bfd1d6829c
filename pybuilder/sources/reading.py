"""A program: reads small archives, one request after another, for ``beside.py``.

A request is the path of an archive; the answer is what ``kept.packed`` makes of it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Isolated, Python looks where packages are installed; it is to find the pybuild that has started it.
sys.path.insert(0, str(Path(__file__).parents[2]))

from pybuilder.byte_compile import serve
from pybuilder.sources.kept import packed

if __name__ == "__main__":
    serve(lambda request: packed(Path(os.fsdecode(request))))
