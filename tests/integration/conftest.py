"""Tests that fill the machine run while no other does: of this session's workers, and of other sessions."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuilder.files import file_lock

_LOCKS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pybuild-tests"


def pytest_configure(config: pytest.Config) -> None:
    # What a script starts in its background has Ctrl-C ignored, and so would all that tests start and press it for.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "alone: fills the machine, so that nothing else should be timed beside it")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The one test that takes minutes begins first, or all but one worker wait for it in the end."""
    items.sort(key=lambda item: item.path.name != "test_month.py")


@pytest.fixture(autouse=True)
def beside_others(request: pytest.FixtureRequest) -> Iterator[None]:
    """Wait until nothing runs that must be alone; or, for what must be, until nothing runs at all."""
    alone = request.node.get_closest_marker("alone") is not None
    with contextlib.ExitStack() as held:
        # Who waits to be alone stands in the door, or newcomers beside others would keep it waiting for ever.
        with file_lock(_LOCKS / "door.lock"):
            held.enter_context(file_lock(_LOCKS / "machine.lock", shared=not alone))
        yield
