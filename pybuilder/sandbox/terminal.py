"""The step in which a person talks to a program.

Runs inside, like ``inside.py``: standard library only, and no import of pybuild.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def talk_to(argv: list[str], cwd: str, env: Mapping[str, str], size: Sequence[int]) -> None:
    """Run a program on a terminal of its own.

    Args:
        argv: The program and its arguments.
        cwd: Where it runs.
        env: Its whole environment.
        size: Rows and columns.
    """
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(cwd)
        os.execve(argv[0], argv, env)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    relay(terminal)
    os.waitpid(child, 0)


def relay(terminal: int) -> None:
    """Carry bytes between a terminal and standard input and output, until nobody has it open any more."""
    sources = {terminal: 1, 0: terminal}
    while terminal in sources:
        for source in select.select(list(sources), [], [])[0]:
            try:
                data = os.read(source, 1 << 14)
            except OSError:  # a terminal that everybody has closed gives EIO
                data = b""
            if data:
                os.write(sources[source], data)
            else:
                del sources[source]
