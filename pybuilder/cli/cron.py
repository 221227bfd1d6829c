"""``pybuild cron``: one pass over everything that may have changed."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import click

from pybuilder import clock, outward
from pybuilder.cli.cron_report import preview_lines, preview_report, problem_lines, report, summary_lines
from pybuilder.cli.gc import make_collector
from pybuilder.cli.options import Options
from pybuilder.cli.places import channel_name, open_layout, open_workspace
from pybuilder.cli.progress import listener
from pybuilder.cli.run_command import RunCommand, print_document
from pybuilder.cli.session import Session, open_session
from pybuilder.cli.whole import make_bootstrap
from pybuilder.commits import Commits
from pybuilder.cron import Ended, Preview, World, late, preview, run, told
from pybuilder.cron.budget import Budget
from pybuilder.cron.site import Site
from pybuilder.errors import ConfigError, PybuildError, ReviewError, combined_exit_code
from pybuilder.fields import duration as parse_duration
from pybuilder.files import file_lock
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.passes import Pass
from pybuilder.state import State
from pybuilder.update import Finder
from pybuilder.workspace import Workspace
from pybuilder.workspace.held import Held
from pybuilder.workspace.pull import pull


def _duration(ctx: click.Context, param: click.Parameter, value: str | None) -> timedelta | None:
    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(cls=RunCommand)
@click.option("--pull", "is_pulled", is_flag=True, help="First git pull --ff-only.")
@click.option("--wait", is_flag=True, help="Wait for another pass to end.")
@click.option("--max-builds", type=click.IntRange(min=0), help="Start so many builds at most.")
@click.option("--max-time", callback=_duration, metavar="TIME", help="Start none after so long: 2h.")
@click.option(
    "-j", "--jobs", type=click.IntRange(min=1), help="Builds at a time [default: a processor each, and what is urgent]."
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@click.option("--print-units", is_flag=True, help="Print the systemd units that run this, and do nothing else.")
@click.option("--print-manifest", is_flag=True, help="Print the OpenShift manifest that runs this.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("-v", "--verbose", is_flag=True, help="Also what went well, and what was told before.")
@click.pass_obj
def cron(options: Options, /, *, print_units: bool, print_manifest: bool, verbose: bool, **typed: Any) -> int:
    """Update, build what is new or stale, publish, prune and report: once, silently if all is well."""
    if print_units or print_manifest:
        from pybuilder.cli import running

        show = running.print_units if print_units else running.print_manifest
        return show(options, cron, typed)
    shown = dataclasses.replace(options, verbose=options.verbose or verbose)
    return _Command(options=shown, **typed).run()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Command:
    """What was typed."""

    options: Options
    is_pulled: bool
    wait: bool
    max_builds: int | None
    max_time: timedelta | None
    jobs: int | None
    dry_run: bool
    as_json: bool

    def run(self) -> int:
        workspace = self._readable()
        layout = open_layout(self.options, workspace)
        one_at_a_time = file_lock(layout.lock("cron"), wait=self.wait, what="another pass of cron is at work")
        with one_at_a_time, contextlib.closing(State.open(layout)) as state:
            world = self._world(workspace, layout, state)
            if self.dry_run:
                found = preview(world)
                self._tell_preview(found)
                return combined_exit_code([trouble.exit_code for trouble in found.troubles])
            outward.begin(channel=world.channel, state=state)
            ended = run(world)
            ended = _tell_others(world, ended, workspace, layout)
            self._tell(ended, state, layout)
            # Only now: who dies before has told nobody, and is to tell it again.
            told(state, world.channel, ended.memory)
            if any(problem.kind == "notify" for problem in ended.passed.problems):
                outward.told(settings=workspace.settings, state=state)
        return _exit_code(ended.passed)

    def _readable(self) -> Workspace:
        """The workspace; where its pybuild.toml is broken, somebody may have mended it upstream."""
        workspace = open_workspace(self.options)
        if self.is_pulled and not self.dry_run:
            try:
                workspace.settings  # noqa: B018 - whether they can be read
            except ConfigError:
                # They say where the state is, and the lock: git takes care that nobody pulls beside us.
                pull(workspace.root, run=workspace.run)
                return open_workspace(self.options)
        return workspace

    def _world(self, workspace: Workspace, layout: Layout, state: State) -> World:
        channel, run_id = channel_name(self.options, workspace), clock.new_attempt_id(clock.now())
        return World(
            run=run_id,
            workspace=workspace.root.resolve().name,
            channel=channel,
            state=state,
            commits=Commits(workspace=workspace, layout=layout, state=state, now=clock.now),
            pull=(lambda: pull(workspace.root, run=workspace.run)) if self.is_pulled else lambda: (),
            site=partial(self._site, run_id),
            prune=lambda: make_collector(open_workspace(self.options), layout, dry_run=False).run(None),
            budget=Budget(
                max_builds=self.max_builds, max_seconds=None if self.max_time is None else self.max_time.total_seconds()
            ),
            note=partial(outward.note, channel=channel, state=state),
            now=clock.now,
        )

    @contextlib.contextmanager
    def _site(self, run_id: str) -> Iterator[Site]:
        """Everything for a pass, in the workspace as it is now."""
        here = open_workspace(self.options)
        workspace = Held(root=here.root, run=here.run, accept_new=here.settings.accept_new)
        shown = dataclasses.replace(self.options, quiet=not self.options.verbose, verbose=False)
        with (
            listener(shown, many=True, run=run_id) as listen,
            open_session(self.options, listen, workspace=workspace) as session,
        ):
            yield _made_site(session, workspace, self.jobs)

    def _tell_preview(self, found: Preview) -> None:
        if self.as_json:
            print_document(preview_report(found))
        else:
            for line in preview_lines(found):
                print(line)

    def _tell(self, ended: Ended, state: State, layout: Layout) -> None:
        for line in problem_lines(ended.passed):
            print(line, file=sys.stderr, flush=True)
        if self.as_json:
            print_document(report(ended, state, layout))
        elif self.options.verbose:
            print("\n".join(summary_lines(ended.passed)), flush=True)


def _tell_others(world: World, ended: Ended, workspace: Workspace, layout: Layout) -> Ended:
    """Write report and metrics, send messages; the pass, with what is wrong with them."""
    settings = workspace.settings
    try:
        with Client() as client:
            passed = outward.tell(
                ended.passed, layout=layout, settings=settings, state=world.state, client=client, now=clock.now
            )
    except PybuildError as error:
        return late(world, ended, error)
    return dataclasses.replace(ended, passed=passed)


def _made_site(session: Session, workspace: Held, jobs: int | None) -> Site:
    return Site(
        workspace=workspace,
        adapters=session.adapters,
        bootstrap=make_bootstrap(session, session.packages(), workspace, jobs=jobs),
        finder=Finder.of(session.chooser),
        uptake=session.uptake(),
    )


def _exit_code(ended: Pass) -> int:
    codes = [problem.exit_code for problem in ended.problems if problem.new]
    codes += [ReviewError.exit_code for awaited in ended.review if awaited.new]
    return combined_exit_code(codes)
