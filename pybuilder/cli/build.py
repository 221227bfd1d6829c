"""``pybuild build`` and ``pybuild rebuild``."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import click
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pybuilder import reports
from pybuilder.cli.arguments import parse_requirement
from pybuilder.cli.completion import complete_names
from pybuilder.cli.options import Options
from pybuilder.cli.progress import listener
from pybuilder.cli.run_command import RunCommand, print_document
from pybuilder.cli.session import Session, open_session
from pybuilder.cli.summary import setback_lines, wheel_lines
from pybuilder.errors import ReviewError, UsageError, combined_exit_code
from pybuilder.results import Result


@click.command(cls=RunCommand)
@click.argument("requirements", metavar="REQ...", nargs=-1, required=True, shell_complete=complete_names)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def build(options: Options, requirements: tuple[str, ...], as_json: bool) -> int:
    """Build each REQ (PEP 508), and what it needs, unless these very inputs were built."""
    return _run(options, [parse_requirement(text) for text in requirements], force=False, as_json=as_json)


@click.command(cls=RunCommand)
@click.argument("versions", metavar="NAME==VERSION|WHEEL...", nargs=-1, required=True, shell_complete=complete_names)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def rebuild(options: Options, versions: tuple[str, ...], as_json: bool) -> int:
    """Build each NAME==VERSION in any case, and publish it under its next number.

    A WHEEL, a file or a URL, is a numbered wheel of this or another pybuild: its record is found, exactly that plan is
    built again, and the payload must come out the same. Nothing is published then: it is a proof, not a release.
    """
    wheels = [text for text in versions if text.partition("#")[0].endswith(".whl")]
    if wheels and len(wheels) == len(versions):
        from pybuilder.cli.proof import rebuild_wheels

        return rebuild_wheels(options, wheels, as_json=as_json)
    if wheels:
        raise UsageError("wheels and versions are rebuilt by different commands", cure="name one kind at a time")
    requirements = [parse_requirement(text) for text in versions]
    for requirement in requirements:
        if [s.operator for s in requirement.specifier] != ["=="] or str(requirement.specifier).endswith(".*"):
            raise UsageError(f"{str(requirement)!r} names no version", cure="write it as NAME==VERSION")
        if "+" in str(requirement.specifier):
            raise UsageError(
                f"{str(requirement)!r} names a build, which never changes",
                cure="rebuild upstream's version, the part before '+'",
            )
    return _run(options, requirements, force=True, as_json=as_json)


def _run(options: Options, requirements: list[Requirement], *, force: bool, as_json: bool) -> int:
    with listener(options) as listen, open_session(options, listen) as session:
        result = session.pipeline(force=force).run(requirements)
        report = reports.run_report(result, session.adapters.state, session.adapters.layout)
    if as_json:
        print_document(report)
    else:
        _print_result(result, report, {canonicalize_name(r.name) for r in requirements}, session)
    codes = [failure.error.exit_code for failure in result.failed]
    codes += [ReviewError.exit_code] if result.review else []
    return combined_exit_code(codes)


def _print_result(result: Result, report: dict[str, Any], names: set[str], session: Session) -> None:
    sys.stderr.flush()
    for line in setback_lines(result):
        print(line, file=sys.stderr)
    for line in wheel_lines(report):
        print(line)
    print_install_lines(report, [names], session)


def print_install_lines(report: Mapping[str, Any], together: Sequence[Collection[str]], session: Session) -> None:
    """Print how to install what was asked for, if anything of it is there.

    Args:
        report: As ``reports.run_report`` makes it.
        together: What was asked for, by what was resolved together: names, normalised, or ``NAME==VERSION``.
        session: Where it ran.
    """
    builds = {}
    for each in [*report["built"], *report["cached"]]:
        numbered = str(each["build"]).partition("/")[2]
        builds[numbered] = {each["name"], f"{each['name']}=={each['version']}", numbered}
    simple = session.adapters.index.root / "simple"
    for wanted in together:
        asked_for = [numbered for numbered, names in builds.items() if not names.isdisjoint(wanted)]
        # Several versions of one package can't be installed together.
        while asked_for:
            one_each = list({name.partition("==")[0]: name for name in reversed(asked_for)}.values())[::-1]
            asked_for = [name for name in asked_for if name not in one_each]
            print(f"install it with:  pip install --index-url {simple.as_uri()} {' '.join(one_each)}")
