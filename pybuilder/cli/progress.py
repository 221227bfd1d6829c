"""Progress on standard error: a live view or a moving line on a terminal, plain lines elsewhere, or JSON lines."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pybuilder import clock, events
from pybuilder.cli.lines import event_line
from pybuilder.cli.options import Options

if TYPE_CHECKING:
    from rich.status import Status


@contextlib.contextmanager
def listener(options: Options, *, many: bool = False, run: str = "") -> Iterator[events.Listener]:
    """The listener that the options ask for, for as long as a command runs. Any thread may call it.

    Args:
        options: The global options.
        many: Whether many packages are to be built, several at once; a terminal then shows them all.
        run: What each JSON line says of the run; empty for an id of its own.
    """
    lock = threading.Lock()
    with _listener(options, lock, many=many, run=run) as listen:

        def one_at_a_time(event: events.Event) -> None:
            with lock:
                listen(event)

        yield one_at_a_time


@contextlib.contextmanager
def _listener(options: Options, lock: threading.Lock, *, many: bool, run: str) -> Iterator[events.Listener]:
    if options.log_format == "json":
        yield _json_listener(verbose=options.verbose, run=run or clock.new_attempt_id(clock.now()))
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


def _json_listener(*, verbose: bool, run: str) -> events.Listener:
    import structlog

    renderer = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _prioritised(renderer) if _goes_to_the_journal() else renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # Bound here, not to the context: a new thread does not inherit that.
    logger = structlog.get_logger().bind(run=run)

    def listen(event: events.Event) -> None:
        if isinstance(event, events.Output):
            if verbose:
                text = event.data.decode("utf-8", errors="replace")
                logger.info("output", name=event.name, version=event.version, text=text)
        elif not isinstance(event, events.Fetching):
            # "event" is structlog's own name for the message.
            logger.info(type(event).__name__.lower(), **asdict(event))

    return listen


# sd-daemon(3)'s levels; whatever is not here informs.
_PRIORITIES = {"failed": 3, "damaged": 4, "waiting": 5}
_INFORMATION = 6


def _prioritised(render: Callable[[Any, str, MutableMapping[str, Any]], str | bytes]) -> Callable[..., str]:
    """A renderer of lines that begin with their priority, which systemd takes off again (sd-daemon(3))."""

    def prioritised(logger: Any, method: str, facts: MutableMapping[str, Any]) -> str:
        priority = _PRIORITIES.get(facts["event"], _INFORMATION)
        return f"<{priority}>{render(logger, method, facts)!s}"

    return prioritised


def _goes_to_the_journal() -> bool:
    """Whether systemd reads our standard error (systemd.exec(5), "$JOURNAL_STREAM")."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
