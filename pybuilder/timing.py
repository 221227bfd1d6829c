"""How long a block takes, told as a span."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from packaging.version import Version

from pybuilder.events import Span


@contextlib.contextmanager
def timed(tell: Callable[[Span], None], *, name: str, version: Version | str, phase: str) -> Iterator[None]:
    """Tell how long a block takes, also when it fails.

    Args:
        tell: Told of the span; a listener, say.
        name: The package's; empty for what is done for the whole run.
        version: Its version.
        phase: What the block does, in a word or two.
    """
    began = time.monotonic()
    try:
        yield
    finally:
        seconds = time.monotonic() - began
        thread = threading.get_native_id()
        tell(Span(name=name, version=str(version), phase=phase, began=began, seconds=seconds, thread=thread))
