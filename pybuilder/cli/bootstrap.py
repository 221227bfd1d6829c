"""``pybuild bootstrap``: a whole dependency tree."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pybuilder import events, reports
from pybuilder.bootstrap import Assessed, Bootstrap
from pybuilder.cli.arguments import parse_requirement
from pybuilder.cli.completion import complete_names
from pybuilder.cli.notes import notes
from pybuilder.cli.options import Options
from pybuilder.cli.places import open_workspace
from pybuilder.cli.progress import listener
from pybuilder.cli.run_command import RunCommand, print_document
from pybuilder.cli.session import Session, open_session
from pybuilder.cli.whole import make_bootstrap
from pybuilder.errors import PybuildError, ReviewError, UsageError, combined_exit_code
from pybuilder.files import disk_errors, write_atomic, write_named
from pybuilder.request import Planned, Request
from pybuilder.results import Result
from pybuilder.trace import timings, tracing
from pybuilder.tree import Archive, Package, package_id
from pybuilder.tree_files import format_json, order_json, tree_json
from pybuilder.workspace.drafts import Drafts

if TYPE_CHECKING:
    from pybuilder.requirements_file import Stated

GRAPH = "graph.json"
ORDER = "build-order.json"
PYLOCK = "pylock.toml"


_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(cls=RunCommand)
@click.argument("requirements", metavar="REQ...", nargs=-1, shell_complete=complete_names)
@click.option("-r", "--requirement", "files", type=_FILE, multiple=True, help="A requirements file.")
@click.option("-c", "--constraint", "limits", type=_FILE, multiple=True, help="A constraints file.")
@click.option("--accept-new", is_flag=True, help="Take in packages that have no spec, writing one for each.")
@click.option("--upgrade", is_flag=True, help="Ask upstream for newer versions first.")
@click.option("--each", is_flag=True, help="Resolve each requirement by itself.")
@click.option("--plan", "plan_only", is_flag=True, help=f"Build nothing; write {PYLOCK}, {ORDER} and {GRAPH} here.")
@click.option("--locked", is_flag=True, help=f"Build what {GRAPH} here says, and nothing else.")
@click.option(
    "-j", "--jobs", type=click.IntRange(min=1), help="Builds at a time [default: a processor each, and what is urgent]."
)
@click.option("--keep-going", is_flag=True, help="With --each, go on without requirements that can't be resolved.")
@click.option("--trace", type=_FILE, help="Write where time went, in Chrome's trace format.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def bootstrap(options: Options, /, **typed: Any) -> int:
    """Build each REQ (PEP 508), all that it installs, and all that is needed to build that, from source."""
    return _Command(options=options, **typed).run()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Command:
    """What was typed."""

    options: Options
    requirements: tuple[str, ...]
    files: tuple[Path, ...]
    limits: tuple[Path, ...]
    accept_new: bool
    upgrade: bool
    each: bool
    plan_only: bool
    locked: bool
    jobs: int | None
    keep_going: bool
    trace: Path | None
    as_json: bool

    def run(self) -> int:
        request = self._request()
        with (
            listener(self.options, many=True) as listen,
            tracing(listen, self.trace) as spans,
            self._session(spans) as session,
        ):
            channel = session.adapters.channel
            session.adapters.state.check_label(channel.name, channel.label)
            whole = self._bootstrap(session)
            assessed = self._assess(whole, request)
            self._remember(session, assessed)
            markers, requirements = session.adapters.target.markers, whole.statements.requirements
            told = list(notes(request, assessed.planned, markers=markers, requirements=requirements))
            if self.plan_only:
                files = _plan_files(session, assessed, whole.statements.unlearned)
                result, report = None, {}
            else:
                replan = partial(self._plan_again, session, whole, request, assessed)
                result = whole.run(assessed, replan=replan, locked=self.locked)
                adapters = session.adapters
                report = reports.run_report(result, adapters.state, adapters.layout, timings=timings(spans.found))
        for note in told:
            click.echo(f"pybuild: {note}", err=True)
        if result is None:
            return self._print_plan(assessed, files)
        tops = [package_id(top.package) for top in assessed.tree.tops]
        together = [[top] for top in tops] if self.each else [tops]
        return self._print_result(session, result, report, together, spans.found)

    def _request(self) -> Request:
        typed = [parse_requirement(text) for text in self.requirements]
        stated, bounds = self._in_files()
        tops = (*typed, *(each.requirement for each in stated))
        if self.locked and (self.upgrade or self.each or bounds):
            raise UsageError("--locked repeats a plan as it is", cure="leave out --upgrade, --each and -c")
        if self.plan_only and not os.access(".", os.W_OK):
            what, where = "the plan is written into this directory, which can't be written", os.getcwd()
            raise UsageError(what, where=where, cure="run the same command in another directory, with -w")
        if not tops and not self.locked:
            raise UsageError("nothing is asked for", cure="name a requirement, or a file of them with -r")
        if self.keep_going and not self.each:
            raise UsageError("--keep-going leaves out what can't be resolved by itself", cure="say --each as well")
        return Request(
            tops=tops,
            constraints=tuple(each.requirement for each in bounds),
            hashes=tuple((each.requirement, frozenset(each.hashes)) for each in (*stated, *bounds) if each.hashes),
            each=self.each,
            upgrade=self.upgrade,
            keep_going=self.keep_going,
        )

    def _in_files(self) -> tuple[tuple[Stated, ...], tuple[Stated, ...]]:
        """The requirements and the constraints that stand in files."""
        if not (self.files or self.limits):
            return (), ()
        from pybuilder.requirements_reader import read_requirements

        asked = read_requirements(self.files, self.limits)
        return asked.requirements, asked.constraints

    @contextmanager
    def _session(self, listen: events.Listener) -> Iterator[Session]:
        workspace = open_workspace(self.options)
        accept_new = self.accept_new or workspace.settings.accept_new
        drafts = Drafts(root=workspace.root, run=workspace.run, accept_new=accept_new)
        with open_session(self.options, listen, workspace=drafts) as session:
            yield session

    def _bootstrap(self, session: Session) -> Bootstrap:
        workspace = session.workspace
        assert isinstance(workspace, Drafts)
        return make_bootstrap(session, session.packages(), workspace, jobs=self.jobs)

    def _assess(self, whole: Bootstrap, request: Request) -> Assessed:
        if not self.locked:
            return whole.prepare(request)
        from pybuilder.locked import read_plan, with_wants

        planned = read_plan(Path(GRAPH), request, whole.statements)
        return whole.assess(with_wants(planned, whole.statements))

    def _remember(self, session: Session, assessed: Assessed) -> None:
        path, graph = session.adapters.layout.plan(session.adapters.channel.name), _graph(assessed).encode()
        with disk_errors(path):
            # A run that finds everything published need not wait for the disk.
            if not path.is_file() or path.read_bytes() != graph:
                write_atomic(path, graph)

    def _plan_again(self, session: Session, whole: Bootstrap, request: Request, assessed: Assessed) -> Planned:
        """The tree with what has been found out meanwhile, which ``graph`` tells of from now on."""
        if self.locked:
            from pybuilder.locked import with_wants

            planned = with_wants(assessed.planned, whole.statements)
        else:
            planned = whole.plan(request)
        statuses = {package: assessed.statuses.get(package, "new") for package in planned.tree.nodes}
        self._remember(session, dataclasses.replace(assessed, planned=planned, statuses=statuses))
        return planned

    def _print_plan(self, assessed: Assessed, files: Sequence[str]) -> int:
        planned = assessed.planned
        if self.as_json:
            print(_graph(assessed), end="")
        else:
            cpu = sum(assessed.seconds[p] for p, status in assessed.statuses.items() if status in ("new", "depends"))
            from pybuilder.tree_text import plan_lines

            for line in plan_lines(assessed.tree, assessed.statuses, assessed.seconds, wall=assessed.wall, cpu=cpu):
                print(line)
            print(f"written: {', '.join(files)}")
        for name, refusal in assessed.refusals.items():
            click.echo(f"pybuild: nobody takes {name} in: {refusal}", err=True)
        errors = dict.fromkeys([*planned.broken.values(), *planned.unmet.values()])
        for error in errors:
            package = " ".join(filter(None, error.package or ()))
            click.echo(f"pybuild: error: {package}{': ' if package else ''}{error}", err=True)
        codes = [error.exit_code for error in errors]
        codes += [ReviewError.exit_code] if assessed.review else []
        return combined_exit_code(codes)

    def _print_result(
        self,
        session: Session,
        result: Result,
        report: dict[str, Any],
        together: Sequence[Collection[str]],
        spans: Sequence[events.Span],
    ) -> int:
        if self.as_json:
            print_document(report)
        else:
            from pybuilder.cli.build import print_install_lines
            from pybuilder.cli.summary import print_summary

            print_summary(result, report, spans)
            print_install_lines(report, together, session)
        codes = [failure.error.exit_code for failure in result.failed]
        codes += [ReviewError.exit_code] if result.review else []
        return combined_exit_code(codes)


def _graph(assessed: Assessed) -> str:
    return format_json(tree_json(assessed.tree, assessed.statuses, assessed.seconds))


def _plan_files(session: Session, assessed: Assessed, unlearned: Collection[Package]) -> tuple[str, ...]:
    """Write the plan into the current directory, for people, for other installers, and for ``--locked``."""
    from pybuilder.pylock import format_pylock, pylock

    order = format_json(order_json(assessed.tree, assessed.statuses, assessed.seconds))
    texts = {ORDER: order, GRAPH: _graph(assessed)}

    def path(source: Archive) -> str:
        return os.path.relpath(session.adapters.layout.source(source.sha256) / source.file)

    try:
        channel, markers = session.adapters.channel.name, session.adapters.target.markers
        lock = pylock(assessed.tree, unlearned=unlearned, markers=markers, channel=channel, path=path)
        texts[PYLOCK] = format_pylock(lock)
    except PybuildError as error:
        gone = ", and the one that is here is removed" if Path(PYLOCK).exists() else ""
        click.echo(f"pybuild: no {PYLOCK} is written{gone}: {error}", err=True)
    for file, text in texts.items():
        with disk_errors(Path(file)):
            write_named(Path(file), text.encode())
    if PYLOCK not in texts:
        # One of another plan must not lie beside these.
        with disk_errors(Path(PYLOCK)):
            Path(PYLOCK).unlink(missing_ok=True)
    return tuple(texts)
