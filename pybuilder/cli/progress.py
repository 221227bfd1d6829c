"""Progress on standard error: a live view or a moving line on a terminal, plain lines elsewhere, or JSON lines."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from pybuilder import events
from pybuilder.cli.lines import event_line
from pybuilder.cli.options import Options

if TYPE_CHECKING:
    from rich.status import Status


@contextlib.contextmanager
def listener(options: Options, *, many: bool = False) -> Iterator[events.Listener]:
    """The listener that the options ask for, for as long as a command runs. Any thread may call it.

    Args:
        options: The global options.
        many: Whether many packages are to be built, several at once; a terminal then shows them all.
    """
    lock = threading.Lock()
    with _listener(options, lock, many=many) as listen:

        def one_at_a_time(event: events.Event) -> None:
            with lock:
                listen(event)

        yield one_at_a_time


@contextlib.contextmanager
def _listener(options: Options, lock: threading.Lock, *, many: bool) -> Iterator[events.Listener]:
    if options.log_format == "json":
        yield _json_listener(verbose=options.verbose)
    elif options.quiet:
        yield events.ignore
    elif options.verbose or not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield _plain_listener(verbose=options.verbose)
    elif many:
        from pybuilder.cli.live import live

        with live(sys.stderr, lock, colour=not os.environ.get("NO_COLOR")) as listen:
            yield listen
    else:
        from rich.console import Console

        with Console(stderr=True).status("") as status:
            yield _terminal_listener(status)


def _plain_listener(*, verbose: bool) -> events.Listener:
    def listen(event: events.Event) -> None:
        if isinstance(event, events.Output):
            if verbose:
                sys.stderr.write(event.data.decode("utf-8", errors="replace"))
        elif line := event_line(event):
            print(line, file=sys.stderr, flush=True)

    return listen


def _terminal_listener(status: Status) -> events.Listener:
    from rich.markup import escape

    def listen(event: events.Event) -> None:
        match event:
            case events.Fetching():
                size = f"{event.done >> 10} KiB" + (f" of {event.total >> 10} KiB" if event.total else "")
                status.update(f"[bold]{event.name}[/] {event.version}  fetch  {size}")
            case events.Started():
                status.update(f"[bold]{event.name}[/] {event.version}  {event.phase}")
            case events.Output():
                pass
            case events.Damaged():
                status.console.print(f"[yellow]![/] {escape(event_line(event))}")
            case events.Failed():
                status.console.print(f"[red]✗[/] {escape(event_line(event))}")
            case events.Published():
                status.console.print(f"[green]✓[/] {escape(event_line(event))}")
            case events.Cached():
                status.console.print(f"[dim]=[/] {escape(event_line(event))}")

    return listen


def _json_listener(*, verbose: bool) -> events.Listener:
    import structlog

    structlog.configure(
        processors=[structlog.processors.TimeStamper(fmt="iso", utc=True), structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logger = structlog.get_logger()

    def listen(event: events.Event) -> None:
        if isinstance(event, events.Output):
            if verbose:
                text = event.data.decode("utf-8", errors="replace")
                logger.info("output", name=event.name, version=event.version, text=text)
        elif not isinstance(event, events.Fetching):
            # "event" is structlog's own name for the message.
            logger.info(type(event).__name__.lower(), **asdict(event))

    return listen
