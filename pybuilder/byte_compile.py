"""A program: adds bytecode to a part of the modules below a directory, as ``python -m compileall`` does it.

It is no import of ours, and imports next to nothing itself: what compileall needs takes longer to import than most
wheels take to compile. Bytecode is marked as unchecked (PEP 552), since an environment can't change, and since times of
files would make it differ from run to run.
"""

import gc
import marshal
import os
import sys
from collections.abc import Iterator
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash

_UNCHECKED = (1).to_bytes(4, "little")


def main(directory: str, here: str, there: str, part: str, parts: str) -> None:
    """Compile every ``parts``-th module, from the ``part``-th on, of a tree at ``here`` that will be seen at ``there``.

    What doesn't compile (templates, code for other Pythons) has no bytecode then.
    """
    for file in sorted(modules(directory))[int(part) :: int(parts)]:
        with open(file, "rb") as stream:
            source = stream.read()
        try:
            data = bytecode(source, there + file.removeprefix(here))
        except Exception:  # noqa: BLE001 - whatever a compiler says of somebody's source
            continue
        target = cache_from_source(file)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as stream:
            stream.write(data)


def bytecode(source: bytes, path: str) -> bytes:
    """The bytecode of a module that is seen at a path, as its file has it."""
    code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    return MAGIC_NUMBER + _UNCHECKED + source_hash(source) + marshal.dumps(code)


def modules(directory: str) -> Iterator[str]:
    """The modules below a directory, which may have any names."""
    for path, _, names in os.walk(directory):
        yield from (os.path.join(path, name) for name in names if name.endswith(".py"))


if __name__ == "__main__":
    gc.disable()  # syntax trees have no cycles
    main(*sys.argv[1:])
    # All is written; taking apart what was read takes a while.
    os._exit(0)
