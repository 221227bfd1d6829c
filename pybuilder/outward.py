"""All that others learn of a pass of ``cron``: report, metrics, heartbeat, messages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.passes import Pass, Problem, Updated
from pybuilder.settings import Settings
from pybuilder.state import State


def begin(*, channel: str, settings: Settings, state: State) -> None:
    """To be called at the beginning of each pass: where messages are new here, what is published so far is not told.

    Args:
        channel: The channel.
        settings: Say who gets messages.
        state: Remembers what has been told.
    """


def note(updated: Updated, *, channel: str, settings: Settings, state: State) -> None:
    """To be called as soon as an update is committed, so that it is told even if the pass is killed after that.

    What ``tell`` finds noted is told once.
    """


def tell(
    pass_: Pass, *, layout: Layout, settings: Settings, state: State, client: Client, now: Callable[[], datetime]
) -> tuple[Problem, ...]:
    """Write report, metrics and heartbeat below ``<state>/cron``, and send messages to whom ``notify`` names.

    Args:
        pass_: The pass, at its end, whatever it came to.
        layout: Where to write.
        settings: Say who gets messages.
        state: Remembers what has been told, and what could not be sent.
        client: Speaks HTTP.
        now: The time, in UTC.

    Returns:
        What is wrong with sending; a new problem has ``new`` set, and one that stays is told again without.

    Raises:
        StateError: The disk can't be written.
    """
    return ()
