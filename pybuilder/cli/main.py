"""The command line: global options, commands that are loaded when they are called, errors to exit codes."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from pybuilder import __version__
from pybuilder.cli.options import Options
from pybuilder.errors import PybuildError, StateError

# What `--help` shows, so that it need not import what it describes.
_COMMANDS = {
    "doctor": ("doctor", "What this machine can do; for each thing missing, the command that installs it."),
    "init": ("specs", "Make a workspace."),
    "new": ("specs", "Write a spec from upstream's metadata, pinned, with the RPMs it will need."),
    "lint": ("specs", "Check specs; with --apply also fetch sources and test-apply patches."),
    "build": ("build", "Build unless these very inputs were built."),
    "rebuild": ("build", "Always build, under the next number."),
    "bootstrap": ("bootstrap", "Build a whole dependency tree, side by side."),
    "graph": ("graph", "The tree that bootstrap planned last: what is in it, and why."),
    "buildroot": ("buildroot", "Lock RPMs, make roots of them, look into them."),
    "shell": ("shell", "A shell in a prepared build, network off."),
    "show": ("show", "What there is of a package."),
    "log": ("show", "The log of a build."),
    "history": ("history", "What was built when, what fails and what is flaky."),
    "audit": ("audit", "Verify wheels and print where they came from."),
    "challenge": ("challenge", "Compare our payloads with another pybuild's of the same keys."),
    "check": ("check", "Build again in another world, and compare bit for bit."),
    "diff": ("diff", "What changed between two builds."),
    "sbom": ("sbom", "The bill of materials of a build, as CycloneDX or SPDX."),
    "cron": ("cron", "One pass: refresh, update, build what changed, publish, prune, report."),
    "update": ("update", "Find new upstream versions by the rules of the specs."),
    "review": ("review", "What waits for a person: list it, look at it, say yes or no."),
    "key": ("key", "The key that signs what is published."),
    "gc": ("gc", "Drop what no index, record, lock or running build needs."),
    "index": ("index", "Check or renew the published index."),
    "serve": ("index", "Serve the index over HTTP on this machine."),
}

# New objects before Python looks for garbage among them. What we make is mostly kept, or gone without being looked for.
_COLLECTED_AT_ONCE = 20_000

_ELSEWHERE = "make room there, or let it go elsewhere, and run the same command again; what is built is kept"


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        with _nothing_collected():
            module = importlib.import_module(f"pybuilder.cli.{_COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, _COMMANDS, n=1)
            ctx.fail(f"no such command {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@contextlib.contextmanager
def _nothing_collected() -> Iterator[None]:
    """Don't look for garbage among what is made in the block, then or later: all that modules make stays."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("-w", "--workspace", type=click.Path(path_type=Path), help="The workspace [default: here or above].")
@click.option("-b", "--buildroot", default="", help="The buildroot [default: pybuild.toml's, else chosen].")
@click.option("--variant", default="", help="The variant of the buildroot's channel.")
@click.option("--state", type=click.Path(path_type=Path), help="The state directory [default: .pybuild].")
@click.option("--log-format", type=click.Choice(["pretty", "json"]), default="pretty", help="Progress on stderr.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.option("-v", "--verbose", is_flag=True, help="Also what builds print, as they print it.")
@click.version_option(__version__, prog_name="pybuild")
@click.pass_context
def cli(ctx: click.Context, /, **options: Any) -> None:
    """Build Python wheels from source, sealed, numbered and recorded, into an index of your own."""
    ctx.obj = Options(**options)


def run() -> NoReturn:
    """Run the command line of this process, and end it with the exit code.

    Python does the same at its end, but then takes apart all that it has made, which takes as long as many a command.
    """
    _have_streams()
    code = main()
    # Too late: all is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _have_streams() -> None:
    """Print to nowhere where standard streams are closed: the next file to be opened would get it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - as long as the process
    sys.stdout, sys.stderr = _stream(1, sys.stdout), _stream(2, sys.stderr)


def _stream(number: int, old: Any) -> io.TextIOWrapper:
    """A standard stream as Python makes it, but for what becomes of that which can't be written."""
    raw, by_line = _Standard(number, "w", closefd=False), old.line_buffering or old.write_through
    return io.TextIOWrapper(io.BufferedWriter(raw), old.encoding, old.errors, line_buffering=by_line)


class _Unprintable(OSError):
    """Standard output can't be written."""


class _ReaderGone(OSError):
    """Nobody reads standard output any more; click would take a BrokenPipeError for an error of ours, and exit."""


class _Standard(io.FileIO):
    """Standard output, which whoever asked for it misses where it can't be written, or standard error.

    What can't be written to that, on a full disk or since nobody reads it, is lost: it does not end what it tells of.
    """

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if self.fileno() == 1:
                raise (_ReaderGone() if isinstance(error, BrokenPipeError) else _Unprintable(*error.args)) from None
            return memoryview(data).nbytes


def main(argv: list[str] | None = None) -> int:
    """Run a command line and return its exit code; ``run`` exits with it.

    Besides the contract's codes: 130 after an interrupt, 141 where whoever read our output went away, as a shell says
    of programs that end by these signals.
    """
    pressed = _note_interrupts()
    gc.set_threshold(_COLLECTED_AT_ONCE)
    try:
        result = cli.main(args=argv, prog_name="pybuild", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        return _report_interrupt()
    except Exception as error:  # noqa: BLE001 - the outermost frame: what nobody foresaw is a fault of ours
        # Where Ctrl-C meets compiled code, that may say that it failed, for reasons of its own.
        return _report_interrupt() if pressed else _report(error)
    return result if isinstance(result, int) else 0


def _note_interrupts() -> list[int]:
    """Let Ctrl-C do what it does, and be remembered: the list is empty until it was pressed."""
    pressed: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        signal.default_int_handler(number, frame)

    # Whoever started us may have it ignored, as shells do for what runs in the background.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, note)
    return pressed


def _report_interrupt() -> int:
    # Pressed again while Python ends, it would print a traceback of that.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("pybuild: interrupted; run the same command again to go on", file=sys.stderr)
    return 130


def _report(error: Exception) -> int:
    if isinstance(error, PybuildError):
        print(f"pybuild: error: {error}", file=sys.stderr)
        return error.exit_code
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, _ReaderGone):
        # The interpreter flushes what is left when it ends, and would complain of it then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    if isinstance(error, _Unprintable):
        what = f"what is printed can't be written: {error.strerror}"
        return _report(StateError(what, where="standard output", cure=_ELSEWHERE))
    return _report_fault(error)


def _report_fault(error: Exception) -> int:
    """Keep the traceback for those who mend it; tell the user where it is."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(prefix="pybuild-fault-", suffix=".txt", delete=False) as file:
        # What it quotes may be the names of files, of any bytes.
        file.write("".join(traceback.format_exception(error)).encode(errors="backslashreplace"))
    message = f"pybuild: error: a fault of pybuild's own: {type(error).__name__}: {error}\n"
    sys.stderr.write(f"{message}  where: {file.name}\n  do: report it with that file; what is built is kept\n")
    return PybuildError.exit_code
