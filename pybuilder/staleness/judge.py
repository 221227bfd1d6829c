"""Whether one version of a package is stale, and why: what is published of it against what would be made now."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from pybuilder.backoff import latest
from pybuilder.made_from import MadeFrom, root_rpms
from pybuilder.plan import Root, digest
from pybuilder.plan_diff import Account, input_changes
from pybuilder.rebuild_requests import RebuildRequest
from pybuilder.stages import Pinned
from pybuilder.stages.plan import recipe as recipe_of
from pybuilder.staleness.compare import RootChange, environment_changes, few, fixes, root_change
from pybuilder.staleness.living import Living, Maker
from pybuilder.staleness.today import Today
from pybuilder.tree import Package, package_id

Why = Literal["new", "recipe", "request", "environment", "lock"]
Policy = Literal["never", "security", "monthly"]

MONTH = timedelta(days=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why a version is stale.

    Attributes:
        why: The trigger.
        detail: In a few words.
        inputs: The digest of what moved inputs are now; empty where it is not for them that it is stale.
        not_before: What asks for it asks for it from then on; None for now.
        since: When somebody asked for it; None where nobody did.
    """

    why: Why
    detail: str
    inputs: str = ""
    not_before: datetime | None = None
    since: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Judge:
    """Judges by what there is today.

    Attributes:
        today: What there is.
        living: What is kept up to date, and what it was made from.
        requests: What somebody asks to have rebuilt.
        settled: By ``name==version``, the inputs of packages that were looked at to the end and found right.
        policy: When moved inputs count.
    """

    today: Today
    living: Living
    requests: Mapping[Package, Sequence[RebuildRequest]]
    settled: Mapping[str, str]
    policy: Policy
    _changes: dict[tuple[str, str, str], RootChange] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        """The time."""
        return self.today.now

    def judge(self, package: Package) -> Reason | None:
        """Why a version is stale; None where it isn't.

        Raises:
            PybuildError: Nobody can say: its spec is wrong, or contradicts what is known.
        """
        pinned = self.today.pinned(package)
        if package not in self.today.published:
            return Reason(why="new", detail=f"never published in {self.today.adapters.channel.name}")
        requested = self.requested(package)
        # What can't be known without fetching is taken to be as it was.
        if pinned is None or (requested and requested.not_before is None):
            return requested
        recipe = self.today.recipe(pinned)
        same = [maker for maker in self.living.makers[package] if maker.recipe == recipe]
        if not same:
            return Reason(why="recipe", detail=self._recipe_detail(package, pinned))
        moved = None if pinned.spec.prebuilt else self._moved(package, pinned, same)
        return moved or requested

    def requested(self, package: Package) -> Reason | None:
        """What somebody asks for, if nothing that was begun since is published; a request in the future waits."""
        wanted = sorted(self.requests.get(package, ()), key=lambda each: each.requested)
        begun = self._begun(package) if wanted else None
        pending = [each for each in wanted if begun is None or each.requested >= begun]
        if not pending:
            return None
        ripe = [each for each in pending if each.requested <= self.now]
        chosen = ripe[-1] if ripe else pending[0]
        return Reason(
            why="request",
            detail=f"asked for at {chosen.requested.astimezone(UTC):%Y-%m-%d %H:%M} UTC: {chosen.reason}",
            not_before=None if ripe else chosen.requested,
            since=chosen.requested,
        )

    def _begun(self, package: Package) -> datetime | None:
        """When the attempt began that is published; None where that was under a clock that was ahead."""
        wheel = self.today.published.get(package)
        if wheel is None:
            return None
        attempt = self.today.adapters.state.attempt(wheel.attempt)
        return latest([datetime.fromisoformat(attempt.started if attempt else wheel.published)], now=self.now)

    def _recipe_detail(self, package: Package, pinned: Pinned) -> str:
        before = self.today.recollection.account(self.living.makers[package][0])
        if before is None:
            return "its recipe is another"
        patches = [{"file": patch.file, "sha256": patch.sha256} for patch in pinned.patches]
        plan = dataclasses.replace(before.plan, recipe=recipe_of(pinned, self.today.adapters.channel))
        after = Account(plan=plan, record={"patches": patches, "source": {"file": "the source"}})
        return few(change.sentence for change in input_changes(before, after)) or "its recipe is another"

    def _moved(self, package: Package, pinned: Pinned, makers: Sequence[Maker]) -> Reason | None:
        """Whether what it would be built with is not what any attempt was built with that made what is published."""
        known = [made for maker in makers if (made := self.living.made_from.get(maker.attempt))]
        outlooks = [self.today.outlook(pinned, made) for made in known]
        if any(outlook.is_same for outlook in outlooks) or not outlooks:
            return None
        newest, made = outlooks[0], known[0]
        inputs = digest([newest.root.digest, [each.payload for each in newest.environment]])
        if self.settled.get(package_id(package)) == inputs:
            return None
        root = self._root_change(pinned, made, newest.root)
        if root and root.kind == "recipe":
            return Reason(why="recipe", detail=root.detail, inputs=inputs)
        changed = environment_changes(made.environment, newest.environment)
        if any(self._rebuilds_dependents(name) for name, _ in changed):
            return Reason(why="environment", detail=few(told for _, told in changed), inputs=inputs)
        if self.policy == "security" and root:
            fixed = fixes(self.today.recollection.rpms(made.root), self.today.locked_security())
            return Reason(why="lock", detail=few(fixed), inputs=inputs) if fixed else None
        if self.policy != "monthly":
            return None
        began = latest((maker.began for maker in self.living.makers[package]), now=self.now)
        return Reason(
            why="environment" if changed else "lock",
            detail=few(told for _, told in changed) if changed else root.detail if root else "",
            inputs=inputs,
            not_before=began + MONTH if began and began + MONTH > self.now else None,
        )

    def _root_change(self, pinned: Pinned, made: MadeFrom, now: Root) -> RootChange | None:
        if now.digest == made.root:
            return None
        own = self.today.root_of(pinned.spec.system.build)
        key = (made.root, now.digest, own.digest)
        if key not in self._changes:
            before = self.today.recollection.rpms(made.root)
            self._changes[key] = root_change(before, root_rpms(now), root_rpms(own))
        return self._changes[key]

    def _rebuilds_dependents(self, name: str) -> bool:
        spec = self.today.spec(name)
        return spec is not None and spec.update.rebuild_dependents
