"""A program: reads small archives, one request after another, for ``beside.py``.

A request is the path of an archive; the answer is what ``whole.read_whole`` returns, by marshal.
"""

from __future__ import annotations

import marshal
import os
import sys
from pathlib import Path

# Isolated, Python looks where packages are installed; it is to find the pybuild that has started it.
sys.path.insert(0, str(Path(__file__).parents[2]))

from pybuilder.byte_compile import serve
from pybuilder.sources.whole import read_whole

if __name__ == "__main__":
    serve(lambda request: marshal.dumps(read_whole(Path(os.fsdecode(request)))))
