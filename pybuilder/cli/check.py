"""``pybuild check``: whether builds come out the same again."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING

import click

from pybuilder.cli.completion import complete_names
from pybuilder.cli.lines import duration
from pybuilder.cli.options import Options
from pybuilder.cli.places import channel_name, find_attempt, open_layout, open_workspace
from pybuilder.cli.progress import listener
from pybuilder.cli.session import Session, open_session
from pybuilder.errors import PybuildError, ReproducibilityError, UsageError, combined_exit_code
from pybuilder.names import BuildName, split_number
from pybuilder.spec import parse_spec
from pybuilder.stages import Adapters
from pybuilder.state import Attempt, State

if TYPE_CHECKING:
    from pybuilder.repeat import Repeatable


@click.command()
@click.argument("build", default="", shell_complete=complete_names)
@click.option("--all", "whole", is_flag=True, help="All that the channel has published; remembers the rate.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def check(options: Options, build: str, whole: bool, as_json: bool) -> int:
    """Build the plan of BUILD again in a fresh state, in another world, and compare both payloads bit for bit.

    BUILD is NAME[==VERSION] for the latest build, a published build or an attempt's id. With neither BUILD nor --all,
    the rate is told that the last --all came to.
    """
    if build and whole:
        raise UsageError("--all checks everything", cure="leave out the name, or --all")
    if not build and not whole:
        return _tell_rate(options, as_json=as_json)
    with listener(options) as listen, open_session(options, listen) as session:
        return _check_all(session, as_json=as_json) if whole else _check_one(session, build, as_json=as_json)


def _check_one(session: Session, build: str, *, as_json: bool) -> int:
    from pybuilder import checks

    recorded = _repeatable(session, _attempt(build, session.adapters))
    checked = checks.Checker(adapters=session.adapters).check(recorded)
    if as_json:
        print(json.dumps(checks.as_json(checked), indent=2))
        return 0 if checked.unlike is None else ReproducibilityError.exit_code
    for each in checked.varied:
        print(f"{'not varied' if each.same else 'varied':10}  {each.what}: {each.how}", flush=True)
    checked.raise_if_unlike()
    print(f"same    {checked.name}  sha256 {checked.sha256}  in {duration(checked.seconds)}")
    return 0


def _check_all(session: Session, *, as_json: bool) -> int:
    """Go on whatever comes of one, so that all are known in the end."""
    from pybuilder import checks

    adapters, codes = session.adapters, []
    checker, tally = checks.Checker(adapters=adapters), checks.Tally()
    for attempt in checks.published_attempts(adapters):
        try:
            checked = checker.check(_repeatable(session, attempt))
            tally.add(checked)
            checked.raise_if_unlike()
        except PybuildError as error:
            codes.append(error.exit_code)
            if not isinstance(error, ReproducibilityError):
                tally.add_unknown(attempt, error)
            print(f"pybuild: error: {error}", file=sys.stderr)
        else:
            if not as_json:
                print(f"same    {checked.name}  in {duration(checked.seconds)}", flush=True)
    rate = tally.rate(adapters.now())
    checks.remember_rate(adapters.state, adapters.channel.name, rate)
    if as_json:
        found = [checks.as_json(each) for each in tally.checked]
        print(json.dumps({"ok": not codes, "rate": rate.as_json(), "checks": found}, indent=2))
    else:
        print(rate)
    # Of what has no place in the contract's order, a difference is what was asked about.
    return combined_exit_code(sorted(codes, key=lambda code: code != ReproducibilityError.exit_code))


def _tell_rate(options: Options, *, as_json: bool) -> int:
    """What the last ``--all`` came to; nothing is built.

    Raises:
        UsageError: There was none.
    """
    from pybuilder import checks

    workspace = open_workspace(options)
    channel = channel_name(options, workspace)
    with contextlib.closing(State.open(open_layout(options, workspace))) as state:
        rate = checks.known_rate(state, channel)
        if rate is None:
            raise UsageError(f"nobody has checked all of {channel} yet", cure="pybuild check --all")
        found = {name: checks.known_check(state, channel, name) for name in [*rate.same, *rate.different]}
    if as_json:
        document = {
            "ok": not rate.different and not rate.unknown,
            "rate": rate.as_json(),
            "checks": list(filter(None, found.values())),
        }
        print(json.dumps(document, indent=2))
        return 0
    for name, kind in rate.different.items():
        print(f"differs {name}  {kind}: {((found[name] or {}).get('difference') or {}).get('file', '')}")
    for name, why in rate.unknown.items():
        print(f"unknown {name}  {why}")
    print(f"{rate}, {rate.when[:16]}Z")
    return 0


def _repeatable(session: Session, attempt: Attempt) -> Repeatable:
    """What is kept of an attempt, under the spec that the workspace has today, or one that says nothing."""
    from packaging.version import Version

    from pybuilder.repeat import repeatable

    channel, target = session.adapters.channel, session.adapters.target
    spec = session.workspace.spec(attempt.name) or parse_spec(
        f'name = "{attempt.name}"\n', f"specs/{attempt.name}.toml"
    )
    effective = spec.effective(
        version=Version(attempt.version),
        buildroot=channel.buildroot,
        python=target.python,
        variant=channel.variant,
    )
    return repeatable(session.adapters, attempt, effective)


def _attempt(text: str, adapters: Adapters) -> Attempt:
    """The attempt that a person means: of NAME[==VERSION] the latest that succeeded.

    Raises:
        UsageError: There is none.
    """
    state, channel = adapters.state, adapters.channel
    found = find_attempt(text, state, channel.label)
    name = None if state.attempt(text) else BuildName.parse(text)
    if name and not (name.version and split_number(name.version, channel.label)):
        version = str(name.version) if name.version else None
        attempts = [
            each for each in state.attempts(name.name, version) if each.channel == (name.channel or channel.name)
        ]
        found = next((each for each in attempts if each.state == "succeeded"), found)
    if found.state != "succeeded":
        raise UsageError(
            f"{text} has never been built, so there is nothing to compare with", cure=f"pybuild build {text}"
        )
    return found
