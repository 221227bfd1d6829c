"""A program: compiles modules as ``python -m compileall`` does it, one request after another until nobody asks.

It is no import of ours, and imports next to nothing itself: what compileall needs takes longer to import than most
wheels take to compile. Bytecode is marked as unchecked (PEP 552), since an environment can't change, and since times of
files would make it differ from run to run.

A request is ``(name of a function here, its arguments)``, as ``marshal`` writes it.
"""

import gc
import marshal
import os
from collections.abc import Callable, Iterator, Mapping
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from typing import IO, Any

_UNCHECKED = (1).to_bytes(4, "little")
_HASH = slice(8, 16)  # where a file of bytecode has that of its source

LENGTH = 8
"""Bytes that say how many follow."""


def main() -> None:
    """Answer requests for compiling."""
    functions: dict[str, Callable[..., bytes]] = {"compile_tree": compile_tree, "foresee": foresee}

    def answer(request: bytes) -> bytes:
        name, arguments = marshal.loads(request)
        return functions[name](*arguments)

    serve(answer)


def serve(answer: Callable[[bytes], bytes]) -> None:
    """Greet with an empty message, and answer each that comes on standard input by one on standard output."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What is said of somebody's source, nobody reads.
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(silence, descriptor)
    send(answers, b"")
    while length := requests.read(LENGTH):
        send(answers, answer(requests.read(int.from_bytes(length, "little"))))


def send(stream: IO[bytes], message: bytes) -> None:
    """Send a message."""
    stream.write(len(message).to_bytes(LENGTH, "little"))
    stream.write(message)
    stream.flush()


def compile_tree(directory: str, here: str, there: str, part: int, parts: int, foreseen: bytes) -> bytes:
    """Compile every ``parts``-th module, from the ``part``-th on, of a tree at ``here`` that will be seen at ``there``.

    What doesn't compile (templates, code for other Pythons) has no bytecode then.

    Args:
        directory: Where in the tree there are modules.
        here: The tree.
        there: Where it will be seen.
        part: Which part.
        parts: How many there are.
        foreseen: What ``foresee`` has answered; empty for nothing.
    """
    known: Mapping[str, bytes] = marshal.loads(foreseen) if foreseen else {}
    for file in sorted(modules(directory))[part::parts]:
        with open(file, "rb") as stream:
            source = stream.read()
        path = there + file.removeprefix(here)
        data = known.get(path, b"")
        if data[_HASH] != source_hash(source):
            data = bytecode(source, path)
        if data:
            target = cache_from_source(file)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as stream:
                stream.write(data)
    return b""


def foresee(sources: Mapping[str, bytes]) -> bytes:
    """The bytecode of modules by the paths at which they will most likely be seen, for ``compile_tree``."""
    return marshal.dumps({path: bytecode(source, path) for path, source in sources.items()})


def bytecode(source: bytes, path: str) -> bytes:
    """The bytecode of a module that is seen at a path, as its file has it; empty where it doesn't compile."""
    try:
        code: Any = compile(source, path, "exec", dont_inherit=True, optimize=0)
    except Exception:  # noqa: BLE001 - whatever a compiler says of somebody's source
        return b""
    return MAGIC_NUMBER + _UNCHECKED + source_hash(source) + marshal.dumps(code)


def modules(directory: str) -> Iterator[str]:
    """The modules below a directory, which may have any names."""
    for path, _, names in os.walk(directory):
        yield from (os.path.join(path, name) for name in names if name.endswith(".py"))


if __name__ == "__main__":
    gc.disable()  # syntax trees have no cycles
    main()
    # All is written; taking apart what was read takes a while.
    os._exit(0)
