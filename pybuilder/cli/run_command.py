"""Commands that make a run: with ``--json`` they print its document, whatever becomes of it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from pybuilder.errors import PybuildError, UsageError
from pybuilder.reports import refusal_report

_PRINTED = f"{__name__}.printed"


class RunCommand(click.Command):
    """A command that makes a run, with the options ``--json`` among its own.

    Its document is printed also where the command line makes no sense, the run could not begin, or Ctrl-C or a fault of
    ours ended it.
    """

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the command line."""
        options = args[: args.index("--")] if "--" in args else args
        with _documented("--json" in options and not extra.get("resilient_parsing")):
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _documented(ctx.params["as_json"], ctx.meta):
            return super().invoke(ctx)


def print_document(document: Mapping[str, Any]) -> None:
    """Print the document of a run."""
    # Before it is there: what was printed in part is not to be followed by another.
    click.get_current_context().meta[_PRINTED] = True
    print(json.dumps(document, indent=2), flush=True)


@contextlib.contextmanager
def _documented(as_json: bool, meta: Mapping[str, Any] | None = None) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    except BaseException as error:
        refused = _refused(error)
        if as_json and refused and not (meta or {}).get(_PRINTED):
            print(json.dumps(refusal_report(refused, seconds=time.monotonic() - began), indent=2), flush=True)
        raise


def _refused(error: BaseException) -> PybuildError | None:
    """What the document says of an error; None where click ends a command that did what it should."""
    match error:
        case PybuildError():
            return error
        case click.ClickException():
            return UsageError(error.format_message())
        case KeyboardInterrupt() | click.Abort():
            return _Interrupted("interrupted", cure="run the same command again to go on")
        case Exception() if not isinstance(error, click.exceptions.Exit):
            return PybuildError(f"a fault of pybuild's own: {type(error).__name__}: {error}")
    return None


class _Interrupted(PybuildError):
    phase = "interrupted"
