"""New versions made ready to be built: their source differs, their patches apply, and nothing is written yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pybuilder.cron.agenda import Goal
from pybuilder.cron.log import Log
from pybuilder.cron.site import Site
from pybuilder.errors import PybuildError, ReviewError
from pybuilder.interruption import side_by_side
from pybuilder.review_queue import UPDATE, ask
from pybuilder.spec_edit import without_pin
from pybuilder.uptake import Prepared

_THREADS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What can be built.

    Attributes:
        goals: What is left of the goals.
        failed: Those that can't be built, and why.
        waits: Those that wait for a person.
    """

    goals: tuple[Goal, ...]
    failed: Mapping[Goal, PybuildError]
    waits: frozenset[Goal]


def take_up(site: Site, goals: Sequence[Goal], log: Log, *, scratch: Path) -> Taken:
    """Make new versions ready; those that a person must look at wait for one.

    Args:
        site: The world.
        goals: What is to be built.
        log: Told what goes wrong.
        scratch: An empty directory that stays until all is built.
    """

    def prepare(goal: Goal) -> Prepared | PybuildError:
        try:
            return site.uptake.prepare(*goal.package)
        except PybuildError as error:
            return error

    new = [goal for goal in goals if goal.is_candidate]
    found = dict(zip(new, side_by_side(prepare, new, threads=_THREADS), strict=True))
    ready: dict[Goal, Prepared] = {}
    waits: dict[Goal, tuple[str, str, str]] = {}
    failed: dict[Goal, PybuildError] = {}
    for goal, each in found.items():
        if isinstance(each, Prepared) and each.review:
            waits[goal] = (goal.name, str(goal), UPDATE)
        elif isinstance(each, Prepared):
            ready[goal] = each
        elif not isinstance(each, ReviewError):  # What waits for a person is queued where it is planned.
            failed[goal] = each
            log.note("build", str(goal), each)
    if waits:
        adapters = site.adapters
        ask(adapters.state, site.workspace, [adapters.index], tuple(waits.values()), now=adapters.now())
    later = _propose_all(site, ready, scratch)
    log.untried.update(map(str, later))
    log.postponed += len(later)
    stopped = {*failed, *waits, *later}
    left = tuple(goal for goal in goals if goal not in stopped)
    return Taken(goals=left, failed=failed, waits=frozenset(waits))


def _propose_all(site: Site, ready: Mapping[Goal, Prepared], scratch: Path) -> set[Goal]:
    """Let versions be built with their patches as they will be; those that wait for another version of their package.

    Each comes from the spec as it is, so of two the one would take back what becomes of the other's patches.
    """
    proposed: set[str] = set()
    later = set()
    for goal, prepared in ready.items():
        if not prepared.is_more_than_a_pin:
            continue
        if prepared.name in proposed:
            later.add(goal)
            continue
        proposed.add(prepared.name)
        _propose(site, prepared, scratch)
    return later


def _propose(site: Site, prepared: Prepared, scratch: Path) -> None:
    """Let the version be built with its patches as they will be; its pin is nothing that others may see."""
    files = {change.file: scratch / change.file for change in prepared.changes}
    for change in prepared.changes:
        text = change.after or b""
        if change.file.startswith("specs/"):
            text = without_pin(text.decode(), prepared.version).encode()
        files[change.file].parent.mkdir(parents=True, exist_ok=True)
        files[change.file].write_bytes(text)
    site.workspace.propose(prepared.name, files)
