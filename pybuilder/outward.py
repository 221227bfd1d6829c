"""All that others learn of a pass of ``cron``: report, metrics, heartbeat, messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime

from pybuilder import news, outbox
from pybuilder.brokers import Broker
from pybuilder.files import disk_errors, write_atomic
from pybuilder.hooks import Courier, Hook
from pybuilder.http import Client, scheme
from pybuilder.layout import Layout
from pybuilder.pass_html import report_html
from pybuilder.pass_metrics import Standing, metrics
from pybuilder.pass_report import report
from pybuilder.pass_text import report_text
from pybuilder.passes import Pass, Updated
from pybuilder.settings import Settings
from pybuilder.state import State

_SUCCESS = "last-success"


def begin(*, channel: str, state: State) -> None:
    """To be called at the beginning of each pass: what there is before the first one is no news.

    Args:
        channel: The channel.
        state: Remembers what has been told.
    """
    news.begin(state, channel)


def note(updated: Updated, *, channel: str, state: State) -> None:
    """To be called as soon as an update is committed, so that it is told even if the pass is killed after that.

    Args:
        updated: The update; what ``Pass.updated`` has as well is told once.
        channel: The channel.
        state: Remembers it.
    """
    news.note(state, channel, updated)


def tell(
    pass_: Pass, *, layout: Layout, settings: Settings, state: State, client: Client, now: Callable[[], datetime]
) -> Pass:
    """Send messages to whom ``notify`` names, and write report, metrics and heartbeat below ``<state>/cron``.

    Args:
        pass_: The pass, at its end, whatever it came to.
        layout: Where to write.
        settings: Say who gets messages.
        state: Remembers what has been told, and what could not be sent.
        client: Speaks HTTP.
        now: The time, in UTC.

    Returns:
        The pass, with what is wrong with sending; a problem has ``new`` set until ``told`` is called.

    Raises:
        StateError: The disk can't be written.
    """
    news.collect(state, pass_, now, lambda messages: outbox.put(state, settings.notify, messages))
    pass_ = pass_.with_problems(outbox.deliver(state, _couriers(settings, client), now))
    document = report(pass_)
    if pass_.outcome != "failed":
        state.add_fact(_SUCCESS, pass_.channel, now().isoformat())
    with disk_errors(layout.cron):
        write_atomic(layout.cron / "report.txt", report_text(document).encode())
        write_atomic(layout.cron / "report.html", report_html(document).encode())
        write_atomic(layout.cron / "pybuild.prom", metrics(pass_, _standing(pass_, settings, state)).encode())
        if pass_.outcome != "failed":
            heartbeat = {"time": now().isoformat(), "run": pass_.run}
            write_atomic(layout.cron / "heartbeat", json.dumps(heartbeat).encode() + b"\n")
    return pass_


def told(*, settings: Settings, state: State) -> None:
    """To be called once somebody has been told what ``tell`` returned, so that the next pass does not tell it again.

    Args:
        settings: Say who gets messages.
        state: Remembers it.
    """
    outbox.told(state, settings.notify)


def _couriers(settings: Settings, client: Client) -> Mapping[str, Courier]:
    return {
        url: Broker(url=url) if scheme(url) in ("amqp", "amqps") else Hook(client=client, url=url)
        for url in settings.notify
    }


def _standing(pass_: Pass, settings: Settings, state: State) -> Standing:
    success = state.fact(_SUCCESS, pass_.channel)
    queues = outbox.queues(state, settings.notify).values()
    return Standing(
        last_success=datetime.fromisoformat(success) if success else None,
        attempts=state.outcomes(pass_.channel),
        messages_waiting=sum(len(queue.waiting) for queue in queues),
        messages_dropped=sum(queue.dropped for queue in queues),
    )
