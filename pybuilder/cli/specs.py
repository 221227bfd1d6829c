"""``pybuild init``, ``pybuild new`` and ``pybuild lint``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pybuilder.cli.arguments import parse_requirement
from pybuilder.cli.completion import complete_names
from pybuilder.cli.options import Options
from pybuilder.cli.places import open_workspace
from pybuilder.cli.progress import listener
from pybuilder.errors import PybuildError, combined_exit_code
from pybuilder.workspace import Workspace

if TYPE_CHECKING:
    from pybuilder.lint import Notice
    from pybuilder.new import NewSpec


@click.command()
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def init(options: Options, directory: Path | None, as_json: bool) -> int:
    """Make a workspace in DIR, or here; what is there already stays as it is."""
    from pybuilder.workspace import init as make_workspace

    root = (directory or options.workspace or Path.cwd()).absolute()
    made = [path.relative_to(root).as_posix() for path in make_workspace(root)]
    if as_json:
        print(json.dumps({"workspace": str(root), "made": made}, indent=2))
    else:
        print(f"{root}: made {', '.join(made)}" if made else f"{root} is a workspace already")
    return 0


@click.command()
@click.argument("requirements", metavar="REQ...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def new(options: Options, requirements: tuple[str, ...], as_json: bool) -> int:
    """Write the spec of each REQ (PEP 508) from upstream's newest source that satisfies it."""
    from pybuilder.cli.reach import reach

    wanted = {text: parse_requirement(text) for text in requirements}
    workspace = open_workspace(options)
    written: list[NewSpec] = []
    failed: dict[str, PybuildError] = {}
    with listener(options) as listen, reach(options, workspace, listen) as world:
        for text, requirement in wanted.items():
            try:
                written.append(world.writer.write(requirement))
            except PybuildError as error:
                failed[text] = error
    missing = {m.name: m for one in written for m in one.missing if workspace.spec(m.name) is None}
    if as_json:
        report = {
            "ok": not failed,
            "written": [_as_json(one) for one in written],
            "failed": [{"requirement": text, **_problem(error)} for text, error in failed.items()],
            "missing": sorted(missing),
        }
        print(json.dumps(report, indent=2))
    else:
        for one in written:
            _print_new(one, workspace)
        if missing:
            print(f"no spec yet for what these need:\n  do: pybuild new {' '.join(sorted(missing))}")
    sys.stdout.flush()
    for refusal in failed.values():
        print(f"pybuild: error: {refusal}", file=sys.stderr)
    return combined_exit_code([error.exit_code for error in failed.values()])


def _print_new(new_spec: NewSpec, workspace: Workspace) -> None:
    found = new_spec.findings
    place = new_spec.path.relative_to(workspace.root)
    print(f"wrote {place}: {new_spec.name} {new_spec.version}" + (f", {found.licence}" if found.licence else ""))
    for rpm, reason in sorted(found.guess.why.items()):
        print(f"  guessed {rpm}: {reason}")
    for name in found.guess.remove_requires:
        print(f"  guessed without {name} from the index: an RPM stands in for it")
    for note in (*found.notes, *found.guess.notes):
        print(f"  look: {note}")
    for missing in new_spec.missing:
        print(f"  needs {missing.requirement} to {missing.needed_to}, which has no spec yet")


def _as_json(new_spec: NewSpec) -> dict[str, Any]:
    found = new_spec.findings
    return {
        "name": new_spec.name,
        "version": str(new_spec.version),
        "spec": str(new_spec.path),
        "file": new_spec.source.filename,
        "sha256": new_spec.source.sha256,
        "origin": new_spec.source.origin,
        "licence": found.licence,
        "summary": found.summary,
        "guessed": {
            "build": list(found.guess.build),
            "runtime": list(found.guess.runtime),
            "remove-requires": list(found.guess.remove_requires),
            "vendor": found.guess.vendor,
            "why": dict(found.guess.why),
        },
        "notes": [*found.notes, *found.guess.notes],
        "missing": [{"name": m.name, "requirement": m.requirement, "needed_to": m.needed_to} for m in new_spec.missing],
    }


@click.command()
@click.argument("names", metavar="[NAME...]", nargs=-1, shell_complete=complete_names)
@click.option(
    "--apply", "with_sources", is_flag=True, help="Also fetch every pinned source and test-apply its patches."
)
@click.option("--schema", "as_schema", is_flag=True, help="Print the JSON Schema of a spec, for editors, and no more.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def lint(options: Options, names: tuple[str, ...], with_sources: bool, as_schema: bool, as_json: bool) -> int:
    """Check the specs of each NAME, or all that is in the workspace, and list every problem."""
    if as_schema:
        from pybuilder.spec import schema

        print(json.dumps(schema(), indent=2))
        return 0
    try:
        problems, known = _problems(options, names, with_sources=with_sources)
    except PybuildError as error:
        if as_json:
            print(json.dumps({"ok": False, "problems": [_problem(error)], "warnings": []}, indent=2))
        raise
    if as_json:
        report = {
            "ok": not problems,
            "problems": [_problem(problem) for problem in problems],
            "warnings": [{"what": notice.what, "where": notice.where} for notice in known],
        }
        print(json.dumps(report, indent=2))
    else:
        for notice in known:
            print(f"{notice.where}: warning: {notice.what}")
        for problem in problems:
            print(f"{problem.where}: {problem.what}" if problem.where else problem.what)
            if problem.cure:
                print(f"  do: {problem.cure}")
        sys.stdout.flush()
        print(
            f"{len(problems)} problems" if len(problems) > 1 else "1 problem" if problems else "sound", file=sys.stderr
        )
    return combined_exit_code([problem.exit_code for problem in problems])


def _problems(
    options: Options, names: Sequence[str], *, with_sources: bool
) -> tuple[list[PybuildError], tuple[Notice, ...]]:
    from pybuilder import clock
    from pybuilder.cli.reach import reach
    from pybuilder.lint import Applier, notices
    from pybuilder.lint import lint as check
    from pybuilder.names import normalize

    workspace = open_workspace(options)
    normalized = [normalize(name) for name in names]
    found = list(check(workspace, normalized))
    if with_sources:
        with listener(options) as listen, reach(options, workspace, listen) as world:
            applier = Applier(workspace=workspace, sources=world.sources, listen=listen, now=clock.now)
            found += applier.problems(normalized)
    # A missing patch is missed by both.
    return list({str(error): error for error in found}.values()), notices(workspace, normalized)


def _problem(error: PybuildError) -> dict[str, str]:
    return {"phase": error.phase, "what": error.what, "where": error.where, "do": error.cure}
