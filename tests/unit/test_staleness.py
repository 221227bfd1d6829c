"""What makes a package stale: a workspace's files and a state are written, and nothing is built."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.errors import EngineError
from pybuilder.lockfile import Lock, Rpm, format_lock
from pybuilder.packages import Packages
from pybuilder.plan import Root, rpm_root_digest
from pybuilder.processes import run
from pybuilder.stages import Channel as StagesChannel
from pybuilder.stages.source import SourceGetter
from pybuilder.staleness import Stale, StaleReport, find_stale, note_failure, note_settled
from pybuilder.staleness.judge import Policy
from pybuilder.workspace import Workspace
from tests.support.channels import BEGAN, HOST_ROOT, TARGET, Channel, channel, digest

DAY = timedelta(days=1)
NOW = BEGAN + 100 * DAY
SIX = NormalizedName("six")
V1 = Version("1.0")


@dataclass
class FakeRoots:
    """Roots of RPMs, each of which answers to its own name: every build has bash; ``lock`` says which file each is."""

    lock: dict[str, str] = field(default_factory=lambda: {"bash": "1", "gcc": "1", "zlib": "1"})
    base: Sequence[str] = ("bash",)

    def for_build(self, system: Sequence[str]) -> Root:
        names = sorted({*self.base, *system})
        if missing := [name for name in names if name not in self.lock]:
            raise EngineError(f"the lock has no RPM for {missing[0]}")
        rpms = [{"name": n, "evra": f"{self.lock[n]}-1.x86_64", "sha256": digest(n + self.lock[n])} for n in names]
        found = rpm_root_digest([(f"{rpm['name']}-{rpm['evra']}", rpm["sha256"]) for rpm in rpms], {})
        return Root(kind="rpm", digest=found, contents={"base": list(self.base), "rpms": rpms})


@dataclass
class Here:
    """A workspace whose channel has published something."""

    channel: Channel
    root: Path
    roots: FakeRoots = field(default_factory=FakeRoots)
    policy: Policy = "never"
    now: datetime = NOW
    yanked: dict[NormalizedName, dict[Version, str]] = field(default_factory=dict)

    def spec(self, name: str, text: str = "", *, pins: Sequence[str] = ("1.0",), sha256: str = "a" * 64) -> None:
        """Accept a package; ``text`` is all of its spec but its name and its pins."""
        versions = "".join(f'"{pin}" = {{ file = "{name}-{pin}.tar.gz", sha256 = "{sha256}" }}\n' for pin in pins)
        table = f"[versions]\n{versions}" if pins else ""
        (self.root / "specs" / f"{name}.toml").write_text(f'name = "{name}"\n{text}\n{table}')

    def ask(self, text: str) -> None:
        """Write rebuild.toml."""
        (self.root / "rebuild.toml").write_text(text)

    def note_security(self, **notes: str) -> None:
        """Write the lock, in which these RPMs have notes of advisories."""
        rpms = {
            name: Rpm(
                name=name,
                evra=f"{release}-1.x86_64",
                sha256=digest(name),
                size=1,
                repository="fedora",
                location=f"{name}.rpm",
                source="",
                key="",
                requires=(),
                security=notes.get(name, ""),
            )
            for name, release in self.roots.lock.items()
        }
        lock = Lock(buildroot="host", arch="x86_64", repositories={}, answers={}, rpms=rpms)
        (self.root / "buildroots").mkdir(exist_ok=True)
        (self.root / "buildroots" / "host.lock").write_text(format_lock(lock))

    def built(self, name: str, version: str = "1.0", *, system: Sequence[str] = (), **facts: Any) -> None:
        """A build that was published, as it would be made now; the facts are those of ``Channel.attempt``."""
        self.channel.build(name, version, root=self.roots.for_build(system), **facts)

    def failed(self, name: str, *, system: Sequence[str] = (), **facts: Any) -> str:
        """An attempt that failed; its id."""
        failure = ("build", "no")
        return self.channel.attempt(
            name, root=self.roots.for_build(system), **{"failure": failure, "began": self.now - DAY / 24 / 60} | facts
        ).id

    def packages(self) -> Packages:
        """What cron would have of a session."""
        adapters = cast(
            Any,
            SimpleNamespace(
                state=self.channel.state,
                layout=self.channel.layout,
                roots=self.roots,
                index=SimpleNamespace(yanked=lambda: self.yanked),
                target=TARGET,
                channel=StagesChannel(name="host", label="pb", buildroot="host", variant="", env={}, macros={}),
            ),
        )
        nothing = cast(Any, None)
        workspace = Workspace(root=self.root, run=run)
        sources = SourceGetter(adapters=adapters, workspace=workspace, sources=nothing)
        return Packages(adapters=adapters, sources=sources, chooser=nothing, screener=nothing)

    def find(self) -> StaleReport:
        """A look at it, in which nothing is a problem."""
        report = find_stale(self.packages(), policy=self.policy, now=self.now)
        assert report.problems == ()
        return report

    def stale(self) -> dict[str, str]:
        """By requirement, why each is to be built now."""
        return {str(each.requirement): each.why for each in self.find().stale}

    def delayed(self) -> dict[str, timedelta]:
        """By requirement, how long each waits."""
        return {str(each.requirement): each.due - self.now for each in self.find().delayed if each.due}

    def only(self) -> Stale:
        """The only one that is stale."""
        [found] = self.find().stale
        return found


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    (tmp_path / "workspace" / "specs").mkdir(parents=True)
    with channel(tmp_path / "state") as opened:
        yield Here(channel=opened, root=tmp_path / "workspace")


class TestNew:
    def test_a_pinned_version_that_was_never_published(self, here: Here) -> None:
        here.spec("six")
        assert here.stale() == {"six==1.0": "new"}
        assert here.only().detail == "never published in host"
        here.built("six")
        assert here.stale() == {}

    def test_a_package_of_which_nothing_is_pinned(self, here: Here) -> None:
        here.spec("six", pins=())
        assert here.stale() == {"six": "new"}
        here.built("six")
        assert here.stale() == {}

    def test_without_a_pin_and_an_index_that_has_it_nobody_knows_a_version(self, here: Here) -> None:
        """Its first version comes as any new one does: found by ``[update]``, or named by a person."""
        here.spec("six", '[source]\ntype = "git"\nurl = "https://localhost/six.git"\ntag = "{version}"', pins=())
        assert here.stale() == {}

    def test_a_wheel_that_does_not_serve_the_target_is_none(self, here: Here) -> None:
        here.spec("six")
        attempt = here.channel.attempt("six", root=here.roots.for_build(()))
        here.channel.publish(attempt, wheel_tags="cp39-cp39-linux_x86_64")
        assert here.stale() == {"six==1.0": "new"}

    def test_every_series_is_kept_alive_and_nothing_else(self, here: Here) -> None:
        here.spec("six", '[update]\nseries = ["1.*", "2.*"]', pins=["1.0", "1.1", "2.0", "3.0"])
        assert here.stale() == {"six==1.1": "new", "six==2.0": "new"}


class TestRecipe:
    def test_a_patch_a_pin_and_a_key_of_the_spec(self, here: Here) -> None:
        here.spec("six")
        here.built("six")
        patch = here.root / "patches" / "six" / "0001-x.patch"
        patch.parent.mkdir(parents=True)
        patch.write_text("--- a\n+++ b\n")
        assert here.stale() == {"six==1.0": "recipe"}
        assert "0001-x.patch: added" in here.only().detail
        patch.unlink()
        assert here.stale() == {}
        here.spec("six", '[build]\nenv = { A = "1" }')
        assert here.only().detail == "[build.env] A: added, 1"
        here.spec("six", sha256="b" * 64)
        assert here.stale() == {"six==1.0": "recipe"}

    def test_what_can_not_be_known_without_fetching_is_as_it_was(self, here: Here) -> None:
        git = '[source]\ntype = "git"\nurl = "https://localhost/six.git"\ntag = "{version}"'
        here.spec("six", f'{git}\n[versions]\n"1.0" = {{ commit = "{"12" * 20}" }}', pins=())
        assert here.stale() == {"six==1.0": "new"}
        here.built("six")
        assert here.stale() == {}
        here.channel.state.add_fact("commit-archive", "12" * 20, "b" * 64)
        assert here.stale() == {"six==1.0": "recipe"}

    def test_a_wheel_whose_attempts_nobody_knows_speaks_for_itself(self, here: Here) -> None:
        here.spec("six")
        here.built("six")
        here.channel.state._write("DELETE FROM attempts", {})
        assert here.stale() == {}
        here.spec("six", sha256="b" * 64)
        assert here.stale() == {"six==1.0": "recipe"}

    def test_what_does_not_enter_the_recipe_changes_nothing(self, here: Here) -> None:
        here.spec("six")
        here.built("six")
        here.spec("six", '# a comment\n[test]\nimports = ["six"]\n[update]\ncooldown = "3d"')
        assert here.stale() == {}

    def test_another_recipe_that_made_the_same_payload_is_as_good(self, here: Here) -> None:
        """The number stays, and its row in the database tells of the older attempt."""
        here.spec("six", '[build]\nenv = { A = "1" }')
        here.built("six", payload="same")
        assert here.stale() == {"six==1.0": "recipe"}
        here.channel.attempt("six", payload="same", recipe={"env": {"A": "1"}}, root=here.roots.for_build(()))
        assert here.stale() == {}

    def test_an_rpm_that_somebody_asks_for_or_does_not_any_more(self, here: Here) -> None:
        here.spec("six")
        here.built("six")
        here.spec("six", '[system]\nbuild = ["gcc"]')
        assert here.stale() == {"six==1.0": "recipe"}
        assert here.only().detail == "RPM gcc is asked for"
        here.built("six", system=["gcc", "zlib"])
        assert here.only().detail == "RPM zlib is not any more"
        here.built("six", system=["gcc"])
        assert here.stale() == {}

    def test_it_tells_of_the_recipe_where_the_record_is_gone(self, here: Here) -> None:
        here.spec("six", sha256="b" * 64)
        wheel = here.channel.build("six")
        (here.channel.layout.record(wheel.key, wheel.attempt) / "plan.json").unlink()
        assert here.only().detail == "its recipe is another"


class TestRequest:
    def test_until_something_that_was_begun_later_is_published(self, here: Here) -> None:
        here.spec("six")
        here.built("six", began=NOW - 2 * DAY)
        here.ask(f'six = {{ requested = {(NOW - DAY).isoformat()}, reason = "a bad gcc" }}')
        assert here.stale() == {"six==1.0": "request"}
        found = here.only()
        assert found.is_forced
        assert found.detail == "asked for at 2026-04-10 00:00 UTC: a bad gcc"
        here.built("six", began=NOW - DAY / 2)
        assert here.stale() == {}

    def test_a_request_in_the_future_waits(self, here: Here) -> None:
        here.spec("six")
        here.built("six", began=NOW - 2 * DAY)
        here.ask(f'six = {{ requested = {(NOW + DAY).isoformat()}, reason = "x" }}')
        assert here.stale() == {}
        assert here.delayed() == {"six==1.0": DAY}
        here.now += DAY
        assert here.stale() == {"six==1.0": "request"}

    def test_a_request_in_the_future_holds_nothing_back(self, here: Here) -> None:
        here.policy = "monthly"
        here.spec("six")
        here.built("six")
        here.roots.lock["bash"] = "2"
        here.ask(f'six = {{ requested = {(NOW + DAY).isoformat()}, reason = "x" }}')
        assert here.stale() == {"six==1.0": "lock"}

    def test_of_a_version_that_is_not_live(self, here: Here) -> None:
        here.spec("six", pins=["1.0", "2.0"])
        for version in ("1.0", "2.0"):
            here.built("six", version)
        here.ask(f'"six==1.0" = {{ requested = {(NOW - DAY).isoformat()}, reason = "x" }}')
        assert here.stale() == {"six==1.0": "request"}
        here.ask(f'"six" = {{ requested = {(NOW - DAY).isoformat()}, reason = "x" }}')
        assert here.stale() == {"six==2.0": "request"}

    def test_comes_before_another_recipe_as_one_build_does_for_both(self, here: Here) -> None:
        here.spec("six", sha256="b" * 64)
        here.built("six")
        here.ask(f'six = {{ requested = {(NOW - DAY).isoformat()}, reason = "x" }}')
        assert here.stale() == {"six==1.0": "request"}
        here.ask(f'six = {{ requested = {(NOW + DAY).isoformat()}, reason = "x" }}')
        assert here.stale() == {"six==1.0": "recipe"}
        assert here.delayed() == {}

    def test_what_was_begun_at_that_very_time_was_not_begun_after_it(self, here: Here) -> None:
        here.spec("six")
        here.built("six", began=NOW - DAY)
        here.ask(f'six = {{ requested = {(NOW - DAY).isoformat()}, reason = "x" }}')
        assert here.stale() == {"six==1.0": "request"}

    def test_of_several_the_latest_counts_and_of_several_in_the_future_the_first(self, here: Here) -> None:
        here.spec("six")
        here.built("six", began=NOW - 9 * DAY)

        def ask(*days: int) -> None:
            keys = ("six", '"six==1.0"', "SIX", '"SIX==1"')
            times = ((NOW + day * DAY).isoformat() for day in days)
            here.ask(
                "".join(
                    f'{key} = {{ requested = {at}, reason = "x" }}\n'
                    for key, at in zip(keys[: len(days)], times, strict=True)
                )
            )

        ask(-3, -1, -2, 5)
        assert here.only().detail.startswith("asked for at 2026-04-10 ")
        ask(9, 5, 7)
        assert here.delayed() == {"six==1.0": 5 * DAY}

    def test_a_build_under_a_clock_that_was_ahead_satisfies_nothing(self, here: Here) -> None:
        here.spec("six")
        here.built("six", began=NOW + 1000 * DAY)
        here.ask(f'six = {{ requested = {(NOW - DAY).isoformat()}, reason = "x" }}')
        assert here.stale() == {"six==1.0": "request"}

    def test_the_same_payload_under_the_old_number_does_not_satisfy(self, here: Here) -> None:
        """It may have been refused, or found by an ordinary build; whoever asks wants a number."""
        here.spec("six")
        here.built("six", payload="same", began=NOW - 2 * DAY)
        here.ask(f'six = {{ requested = {(NOW - DAY).isoformat()}, reason = "x" }}')
        here.channel.attempt("six", payload="same", root=here.roots.for_build(()), began=NOW - DAY / 2)
        assert here.stale() == {"six==1.0": "request"}

    def test_what_nobody_can_fulfil_is_a_problem_of_its_own(self, here: Here) -> None:
        here.spec("six")
        here.built("six", began=NOW - 2 * DAY)
        asked = f"{{ requested = {(NOW - DAY).isoformat()}, reason = 'x' }}"
        here.ask(f'sixx = {asked}\n"six==9" = {asked}\nsix = {asked}\nother = {{ reason = "x" }}\n')
        report = find_stale(here.packages(), policy="never", now=NOW)
        assert [str(each.requirement) for each in report.stale] == ["six==1.0"]
        assert [(each.subject, each.error.what) for each in report.problems] == [
            ("rebuild.toml:1:1 [sixx]", "nobody has accepted sixx"),
            ("rebuild.toml:2:1 [six==9]", "six 9 is neither pinned nor published"),
            ("rebuild.toml:4:1 [other].requested", "the key 'requested' is missing"),
        ]


class TestEnvironment:
    @pytest.fixture
    def two(self, here: Here) -> Here:
        here.spec("setuptools", pins=["80.0"])
        here.built("setuptools", "80.0")
        here.spec("six")
        here.built("six", environment=["setuptools==80.0"], requires=["setuptools>=40"])
        assert here.stale() == {}
        return here

    @pytest.mark.parametrize("policy", ["never", "security"])
    def test_is_left_alone_without_a_policy(self, two: Here, policy: Policy) -> None:
        two.built("setuptools", "80.0")
        two.policy = policy
        assert two.stale() == {}

    def test_another_build_of_what_was_in_it(self, two: Here) -> None:
        two.policy = "monthly"
        two.built("setuptools", "80.0")
        assert two.stale() == {"six==1.0": "environment"}
        assert two.only().detail == "setuptools 80.0 is another build"

    def test_another_version_once_it_is_published(self, two: Here) -> None:
        two.policy = "monthly"
        two.spec("setuptools", pins=["80.0", "81.0"])
        assert two.stale() == {"setuptools==81.0": "new"}
        two.built("setuptools", "81.0")
        assert two.stale() == {"six==1.0": "environment"}
        assert two.only().detail == "setuptools 80.0 -> 81.0"

    def test_a_prerelease_is_not_wanted_where_there_is_something_else(self, two: Here) -> None:
        two.policy = "monthly"
        two.spec("setuptools", pins=["80.0", "81.0rc1"])
        two.built("setuptools", "81.0rc1")
        assert two.stale() == {}

    def test_one_that_came_out_the_same_is_the_same(self, two: Here) -> None:
        two.policy = "monthly"
        two.built("setuptools", "80.0", payload="same")
        two.built("six", environment=["setuptools==80.0"])
        two.built("setuptools", "80.0", payload="same")
        assert two.stale() == {}

    def test_a_payload_that_was_made_again_is_current(self, two: Here) -> None:
        two.policy = "monthly"
        two.built("setuptools", "80.0")
        published = two.channel.payloads["six", "1.0"]
        again = two.channel.attempt("six", environment=["setuptools==80.0"], root=two.roots.for_build(()))
        two.channel.state._write(
            "UPDATE attempts SET payload = :payload WHERE id = :id", {"payload": published, "id": again.id}
        )
        assert two.stale() == {}

    def test_the_spec_of_what_changed_may_ask_for_it_under_any_policy(self, two: Here) -> None:
        two.spec("setuptools", "[update]\nrebuild-dependents = true", pins=["80.0"])
        two.built("setuptools", "80.0")
        two.now = NOW
        assert two.stale() == {"six==1.0": "environment"}
        assert two.delayed() == {}

    def test_a_month_goes_by_between_two(self, two: Here) -> None:
        two.policy = "monthly"
        two.built("setuptools", "80.0")
        two.now = BEGAN + 10 * DAY
        assert two.stale() == {}
        assert two.delayed() == {"six==1.0": 20 * DAY}
        two.now = BEGAN + 30 * DAY
        assert two.stale() == {"six==1.0": "environment"}

    def test_a_build_under_a_clock_that_was_ahead_throttles_nothing(self, two: Here) -> None:
        two.policy = "monthly"
        two.built("six", environment=["setuptools==80.0"], began=NOW + 1000 * DAY)
        two.built("setuptools", "80.0")
        assert two.stale() == {"six==1.0": "environment"}

    def test_what_was_found_right_is_not_looked_at_again_before_something_moves(self, two: Here) -> None:
        """A resolver may see why a version is not taken that is newer, where a look from outside can't."""
        two.policy = "monthly"
        two.spec("setuptools", pins=["80.0", "81.0"])
        two.built("setuptools", "81.0")
        note_settled(two.channel.state, "host", two.only())
        assert two.stale() == {}
        two.built("setuptools", "81.0")
        assert two.stale() == {"six==1.0": "environment"}

    def test_a_record_that_is_gone_makes_nothing_stale(self, two: Here) -> None:
        two.policy = "monthly"
        wheel = two.channel.build("six", environment=["setuptools==80.0"])
        (two.channel.layout.record(wheel.key, wheel.attempt) / "plan.json").unlink()
        two.built("setuptools", "80.0")
        assert two.stale() == {}

    def test_a_wheel_of_upstreams_has_no_environment(self, two: Here) -> None:
        two.policy = "monthly"
        wheel = {"subdirectory": "", "root_env": {}}
        (two.root / "specs" / "six.toml").write_text(
            'name = "six"\n[prebuilt]\nreason = "x"\n[versions]\n'
            f'"1.0" = {{ file = "six-1.0-py3-none-any.whl", sha256 = "{"a" * 64}" }}\n'
        )
        two.built("six", environment=["setuptools==80.0"], recipe=wheel)
        two.roots.lock["bash"] = "2"
        two.built("setuptools", "80.0")
        assert two.stale() == {}


class TestLock:
    def test_by_policy(self, here: Here) -> None:
        here.spec("six", '[system]\nbuild = ["gcc"]')
        here.built("six", system=["gcc"])
        here.spec("seven")
        here.built("seven")
        here.roots.lock["gcc"] = "2"
        assert here.stale() == {}
        here.policy = "monthly"
        assert here.stale() == {"six==1.0": "lock"}
        assert here.only().detail == "gcc 1-1.x86_64 -> 2-1.x86_64"
        here.roots.lock |= {"bash": "2"}
        assert here.stale() == {"six==1.0": "lock", "seven==1.0": "lock"}

    def test_security(self, here: Here) -> None:
        """Whether there is a fix between the version that was there and the locked one, whatever came after it."""
        here.policy = "security"
        here.spec("six", '[system]\nbuild = ["gcc"]')
        here.built("six", system=["gcc"])
        here.roots.lock |= {"gcc": "4", "zlib": "2"}
        here.note_security(gcc="", zlib="2-1 ADVISORY-0")
        assert here.stale() == {}
        here.note_security(gcc="1-1 ADVISORY-1")
        assert here.stale() == {}
        here.note_security(gcc="3-1 ADVISORY-2")
        assert here.stale() == {"six==1.0": "lock"}
        assert here.only().detail == "gcc 3-1 fixes ADVISORY-2"
        here.policy = "never"
        assert here.stale() == {}
        here.policy = "security"
        here.built("six", system=["gcc"])
        assert here.stale() == {}

    def test_a_machines_own_system_has_no_lock_that_could_tell_of_fixes(self, here: Here) -> None:
        here.spec("six")
        here.channel.build("six", root=HOST_ROOT)
        moved = Root(kind="host", digest=digest("moved"), contents={})
        here.roots = cast(Any, SimpleNamespace(for_build=lambda system: moved))
        here.policy = "security"
        assert here.stale() == {}
        here.policy = "monthly"
        assert here.only().detail == "this machine's system is not what it was"

    def test_what_another_channel_made_the_same_proves_nothing_here(self, here: Here) -> None:
        here.policy = "monthly"
        here.spec("six")
        here.built("six", payload="same")
        here.roots.lock["bash"] = "2"
        other = here.channel.attempt("six", payload="same", root=here.roots.for_build(()), began=NOW)
        here.channel.state._write("UPDATE attempts SET channel = 'other' WHERE id = :id", {"id": other.id})
        assert here.stale() == {"six==1.0": "lock"}

    def test_what_moved_or_came_with_the_lock_is_no_change_of_a_recipe(self, here: Here) -> None:
        here.spec("six", '[system]\nbuild = ["gcc"]')
        here.built("six", system=["gcc", "zlib"])
        assert here.stale() == {"six==1.0": "recipe"}
        # zlib may have come with the gcc of then.
        here.roots.lock["gcc"] = "2"
        assert here.stale() == {}
        here.built("six", system=["gcc"])
        # Every build has it, or had it.
        here.roots.base = ["bash", "zlib"]
        assert here.stale() == {}
        here.built("six", system=["gcc"])
        here.roots.base = ["bash"]
        assert here.stale() == {}

    def test_an_older_lock_is_as_good_where_something_was_made_with_it(self, here: Here) -> None:
        here.policy = "monthly"
        here.spec("six")
        here.built("six", payload="same")
        here.roots.lock["bash"] = "2"
        here.channel.attempt("six", payload="same", root=here.roots.for_build(()))
        assert here.stale() == {}
        here.roots.lock["bash"] = "1"
        assert here.stale() == {}

    def test_a_build_requirements_rpms_count(self, here: Here) -> None:
        here.policy = "monthly"
        here.spec("numpy", '[system]\nruntime = ["zlib"]')
        here.built("numpy")
        here.spec("six")
        here.built("six", environment=["numpy==1.0"], system=["zlib"])
        assert here.stale() == {}
        here.roots.lock["zlib"] = "2"
        assert here.stale() == {"six==1.0": "lock"}

    def test_what_the_lock_has_no_answer_to_is_a_problem_of_its_own(self, here: Here) -> None:
        here.policy = "monthly"
        here.spec("seven")
        here.spec("six", '[system]\nbuild = ["nothing"]')
        here.built("six")
        report = find_stale(here.packages(), policy="monthly", now=NOW)
        assert [str(each.requirement) for each in report.stale] == ["seven==1.0"]
        assert [(each.subject, each.error.what) for each in report.problems] == [
            ("six==1.0", "the lock has no RPM for nothing")
        ]


class TestLive:
    def test_an_older_version_that_a_build_needs_stays_alive(self, here: Here) -> None:
        here.spec("setuptools", pins=["60.0", "68.0", "68.5", "80.0"])
        here.built("setuptools", "80.0")
        here.spec("old")
        here.built("old")
        assert here.stale() == {}
        here.built("setuptools", "68.0")
        here.built("old", environment=["setuptools==68.0"], requires=["setuptools<69"])
        # What the requirement would get now, and no other.
        assert here.stale() == {"setuptools==68.5": "new"}
        here.spec("old", pins=())
        here.spec("other", "[update]\nallow = '<1'")
        (here.root / "specs" / "old.toml").unlink()
        assert here.stale() == {}

    def test_and_one_that_something_needs_where_it_is_installed(self, here: Here) -> None:
        here.spec("six", pins=["1.0", "2.0"])
        here.built("six", "2.0")
        here.spec("app")
        here.built("app", installs=["six<2"])
        assert here.stale() == {"six==1.0": "new"}

    def test_to_the_end(self, here: Here) -> None:
        here.spec("a", pins=["1.0", "2.0"])
        here.spec("b", pins=["1.0", "2.0"])
        here.built("a", "1.0", installs=["b<2"])
        for name in "ab":
            here.built(name, "2.0")
        here.spec("app")
        here.built("app", installs=["a<2"])
        assert here.stale() == {"b==1.0": "new"}

    def test_a_newer_live_version_serves_as_well(self, here: Here) -> None:
        here.spec("setuptools", pins=["68.0", "80.0"])
        for version in ("68.0", "80.0"):
            here.built("setuptools", version)
        here.spec("six")
        here.built("six", environment=["setuptools==68.0"], requires=["setuptools>=40"])
        here.spec("setuptools", "[build]\nenv = { A = '1' }", pins=["68.0", "80.0"])
        assert here.stale() == {"setuptools==80.0": "recipe"}

    def test_what_is_yanked_is_not_live_unless_something_asks_for_it_by_name(self, here: Here) -> None:
        here.spec("six", pins=["1.0", "2.0"])
        here.built("six", "1.0")
        here.spec("app")
        here.built("app", installs=["six>=1"])
        assert here.stale() == {"six==2.0": "new"}
        here.yanked[SIX] = {Version("2.0"): "broken"}
        assert here.stale() == {}
        here.built("app", installs=["six==2.0"])
        assert here.stale() == {"six==2.0": "new"}
        here.yanked[SIX] |= {V1: "broken"}
        here.built("app", installs=["six"])
        assert here.stale() == {}

    def test_a_build_environment_does_not_want_what_is_yanked(self, here: Here) -> None:
        here.policy = "monthly"
        here.spec("setuptools", pins=["1.0", "2.0"])
        here.built("setuptools", "1.0")
        here.spec("six")
        here.built("six", environment=["setuptools==1.0"])
        here.built("setuptools", "2.0")
        assert here.stale() == {"six==1.0": "environment"}
        here.yanked[NormalizedName("setuptools")] = {Version("2.0"): "broken"}
        assert here.stale() == {}
        here.built("six", environment=["setuptools==2.0"], requires=["setuptools==2"])
        here.built("setuptools", "2.0")
        assert here.only().detail == "setuptools 2.0 is another build"

    def test_a_broken_spec_is_a_problem_of_its_own(self, here: Here) -> None:
        here.policy = "monthly"
        here.spec("setuptools")
        here.built("setuptools")
        here.spec("six")
        here.built("six", environment=["setuptools==1.0"])
        here.spec("setuptools", "nonsense = 1")
        here.roots.lock["bash"] = "2"
        report = find_stale(here.packages(), policy="monthly", now=NOW)
        assert [str(each.requirement) for each in report.stale] == ["six==1.0"]
        assert [each.subject for each in report.problems] == ["setuptools"]

    def test_pins_that_contradict_each_other_are_a_problem_of_their_own(self, here: Here) -> None:
        for name in ("six", "seven"):
            here.spec(name)
        here.channel.state.add_pin("six", "1.0", {"file": "six.tar.gz", "sha256": "b" * 64}, now="t")
        report = find_stale(here.packages(), policy="never", now=NOW)
        assert [str(each.requirement) for each in report.stale] == ["seven==1.0"]
        [problem] = report.problems
        assert problem.subject == "six==1.0"
        assert "was first seen as" in problem.error.what

    def test_the_most_needed_come_first(self, here: Here) -> None:
        for name in ("a", "b", "c"):
            here.spec(name, "[build]\nenv = { A = '1' }")
        here.built("c")
        here.built("b", environment=["c==1.0"])
        here.built("a", installs=["c"])
        assert [(each.name, each.needed_by) for each in here.find().stale] == [("c", 2), ("a", 0), ("b", 0)]


class TestFailures:
    def test_a_failed_attempt_waits_longer_each_time(self, here: Here) -> None:
        here.spec("six")
        here.failed("six", began=NOW - DAY / 48)
        assert here.delayed() == {"six==1.0": DAY / 48}
        here.failed("six", began=NOW - DAY / 24)
        assert here.delayed() == {"six==1.0": 1.5 * DAY / 24}
        [waits] = here.find().delayed
        assert waits.failures == 2
        here.now += waits.due - NOW if waits.due else DAY
        assert here.stale() == {"six==1.0": "new"}

    def test_one_that_was_interrupted_is_no_failure(self, here: Here) -> None:
        here.spec("six")
        here.failed("six", failure=("build", "interrupted: the run was killed"))
        assert here.stale() == {"six==1.0": "new"}

    def test_another_recipe_is_tried_at_once(self, here: Here) -> None:
        here.spec("six")
        here.failed("six")
        assert here.stale() == {}
        here.spec("six", "[build]\nenv = { A = '1' }")
        assert here.stale() == {"six==1.0": "new"}

    def test_another_lock_and_another_environment_are_tried_at_once(self, here: Here) -> None:
        here.spec("setuptools")
        here.built("setuptools")
        here.spec("six")
        here.failed("six", environment=["setuptools==1.0"])
        assert here.stale() == {}
        here.built("setuptools")
        assert here.stale() == {"six==1.0": "new"}
        here.failed("six", environment=["setuptools==1.0"])
        assert here.stale() == {}
        here.roots.lock["bash"] = "2"
        assert here.stale() == {"six==1.0": "new"}

    def test_a_success_makes_up_for_what_failed_before(self, here: Here) -> None:
        here.spec("six")
        here.failed("six", began=NOW - 3 * DAY)
        here.built("six", began=NOW - 2 * DAY)
        here.ask(f'six = {{ requested = {(NOW - DAY).isoformat()}, reason = "x" }}')
        assert here.only().failures == 0

    def test_a_request_does_not_wait_for_what_failed_before_it(self, here: Here) -> None:
        here.spec("six")
        here.built("six", began=NOW - 3 * DAY)
        here.failed("six", began=NOW - DAY / 40)
        here.ask(f'six = {{ requested = {(NOW - DAY / 48).isoformat()}, reason = "x" }}')
        assert here.stale() == {"six==1.0": "request"}
        here.failed("six", began=NOW - DAY / 96)
        assert here.stale() == {}

    def test_what_has_no_attempt_is_noted(self, here: Here) -> None:
        here.spec("six")
        found = here.only()
        note_failure(here.channel.state, "host", "six", V1, mark=found.mark, now=NOW)
        assert here.delayed() == {"six==1.0": DAY / 24}
        here.now += DAY / 24
        assert here.only().failures == 1
        note_failure(here.channel.state, "host", "six", V1, mark=found.mark, now=here.now)
        assert here.delayed() == {"six==1.0": DAY / 12}

    def test_a_mended_spec_is_tried_at_once(self, here: Here) -> None:
        for text in ("", '[test]\nimports = ["x"]', '[system]\nbuild = ["gcc"]'):
            here.spec("six", text)
            found = here.only()
            note_failure(here.channel.state, "host", "six", V1, mark=found.mark, now=NOW)
            assert here.stale() == {}
        here.roots.lock["gcc"] = "2"
        assert here.stale() == {"six==1.0": "new"}

    def test_what_was_noted_of_another_matter_does_not_count(self, here: Here) -> None:
        here.spec("six")
        note_failure(here.channel.state, "host", "six", V1, mark="other", now=NOW)
        found = here.only()
        assert found.failures == 0
        note_failure(here.channel.state, "host", "six", V1, mark=found.mark, now=NOW)
        assert here.delayed() == {"six==1.0": DAY / 24}

    def test_a_failure_that_has_an_attempt_counts_once(self, here: Here) -> None:
        here.spec("six")
        mark = here.only().mark
        attempt = here.failed("six", began=NOW)
        note_failure(here.channel.state, "host", "six", V1, mark=mark, now=NOW, attempt=attempt)
        assert [each.failures for each in here.find().delayed] == [1]

    def test_a_payload_that_was_refused_waits_for_what_it_needs(self, here: Here) -> None:
        """Its attempt succeeded, so nothing but the note tells; what it lacked may have come meanwhile."""
        here.spec("dep")
        here.built("dep")
        here.spec("six")
        mark = here.only().mark
        made = here.channel.attempt("six", installs=["dep"], root=here.roots.for_build(()), began=NOW)
        note_failure(here.channel.state, "host", "six", V1, mark=mark, now=NOW, attempt=made.id)
        assert here.delayed() == {"six==1.0": DAY / 24}
        here.built("dep", began=NOW + DAY / 48)
        here.now += DAY / 47
        assert here.stale() == {"six==1.0": "new"}

    def test_what_was_held_back_is_tried_once_that_is_published(self, here: Here) -> None:
        """By the attempt that failed, or by the name of what failed without one."""
        here.spec("dep")
        here.spec("six")
        marks = {each.name: each.mark for each in here.find().stale}
        attempt = here.failed("dep", began=NOW)
        note_failure(here.channel.state, "host", "six", V1, mark=marks["six"], now=NOW, attempt=attempt)
        here.spec("seven")
        seven = here.only().mark
        note_failure(here.channel.state, "host", "seven", V1, mark=seven, now=NOW, because_of="dep")
        assert list(here.delayed()) == ["dep==1.0", "seven==1.0", "six==1.0"]
        here.built("dep", began=NOW + DAY / 48)
        here.now += DAY / 47
        assert here.stale() == {"seven==1.0": "new", "six==1.0": "new"}

    @pytest.mark.parametrize("phase", ["state", "buildroot"])
    def test_what_failed_for_want_of_a_disk_or_a_sandbox_does_not_wait(self, here: Here, phase: str) -> None:
        here.spec("six")
        here.failed("six", failure=(phase, "no"))
        assert here.stale() == {"six==1.0": "new"} and here.delayed() == {}
        here.failed("six", failure=("build", "no"))
        assert list(here.delayed()) == ["six==1.0"]

    def test_a_package_without_a_version_waits_as_well(self, here: Here) -> None:
        here.spec("six", pins=())
        note_failure(here.channel.state, "host", "six", None, mark=here.only().mark, now=NOW)
        assert here.delayed() == {"six": DAY / 24}
        here.spec("six", "[test]\nimports = ['x']", pins=())
        assert here.stale() == {"six": "new"}

    def test_a_candidate_that_nothing_pins_yet_waits_as_well(self, here: Here) -> None:
        here.spec("six")
        candidate = Version("2.0")
        first = here.find().delays.of(SIX, candidate)
        assert (first.failures, first.due) == (0, NOW)
        note_failure(here.channel.state, "host", "six", candidate, mark=first.mark, now=NOW)
        here.failed("six", version="2.0", began=NOW)
        again = here.find().delays.of(SIX, candidate)
        assert (again.mark, again.failures, again.due) == (first.mark, 2, NOW + DAY / 12)
        assert here.find().delays.of(SIX, Version("3.0")).due == NOW
