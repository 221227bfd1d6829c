"""Progress on standard error: a moving line on a terminal, plain lines elsewhere, JSON where it is asked for."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from pybuilder import events
from pybuilder.cli.options import Options

if TYPE_CHECKING:
    from rich.status import Status


@contextlib.contextmanager
def listener(options: Options) -> Iterator[events.Listener]:
    """The listener that the options ask for, for as long as a command runs."""
    if options.log_format == "json":
        yield _json_listener(verbose=options.verbose)
    elif options.quiet:
        yield events.ignore
    elif sys.stderr.isatty() and not options.verbose:
        from rich.console import Console

        with Console(stderr=True).status("") as status:
            yield _terminal_listener(status)
    else:
        yield _plain_listener(verbose=options.verbose)


def _line(event: events.Event) -> str:
    match event:
        case events.Chosen():
            return f"buildroot {event.buildroot}, since none is named"
        case events.Preparing():
            return event.what
        case events.Started(phase="build"):
            return f"{event.name} {event.version}: build, log {event.detail}"
        case events.Started():
            return f"{event.name} {event.version}: {event.phase}"
        case events.Cached():
            return f"{event.build}: nothing has changed"
        case events.Published():
            return f"{event.build}: published"
        case events.Failed():
            return f"{event.name} {event.version}".strip() + f": failed in {event.phase}"
        case _:
            return ""


def _plain_listener(*, verbose: bool) -> events.Listener:
    def listen(event: events.Event) -> None:
        if isinstance(event, events.Output):
            if verbose:
                sys.stderr.write(event.data.decode("utf-8", errors="replace"))
        elif line := _line(event):
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
            case events.Failed():
                status.console.print(f"[red]✗[/] {escape(_line(event))}")
            case events.Published():
                status.console.print(f"[green]✓[/] {escape(_line(event))}")
            case events.Cached():
                status.console.print(f"[dim]=[/] {escape(_line(event))}")

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
