"""A program: prints the sha256 of each file that is named on standard input, NUL after each name, one a line.

It is a process of its own, since Python hashes many small files on one processor only, and no import of ours.
"""

import hashlib
import os
import sys

_PIECE = 1 << 16  # bytes


def sha256(file: bytes) -> str:
    """The sha256 of a file's bytes, in lower-case hex."""
    # For small files, setting up what hashlib.file_digest reads into takes as long as all the rest.
    found = hashlib.sha256()
    descriptor = os.open(file, os.O_RDONLY)
    try:
        while piece := os.read(descriptor, _PIECE):
            found.update(piece)
            # Less than was asked for is the end of a file.
            if len(piece) < _PIECE:
                break
    finally:
        os.close(descriptor)
    return found.hexdigest()


if __name__ == "__main__":
    names = sys.stdin.buffer.read().split(b"\0")
    print("\n".join(sha256(name) for name in names if name))
