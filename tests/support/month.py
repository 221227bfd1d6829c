"""A month of a workspace: what upstream and people do, hour by hour, and what the rules say must come of it.

The rules are written here once more, as plainly as possible and without a line of pybuild's: a model that says after
each pass which versions are pinned, published, yanked and waiting.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tests.support.git import git
from tests.support.workspaces import Bench, Ran, clean_environ

SIMULATED = Path(__file__).with_name("simulated.py")
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
EVERY = timedelta(hours=6)
BROKEN = "raise SystemExit('this release does not build')"
DELETION = timedelta(hours=24)


@dataclass(kw_only=True, slots=True)
class Release:
    """One version upstream.

    Attributes:
        uploaded: When.
        yanked: The reason; None where it is not.
        builds: Whether its backend makes a wheel.
        wants: Packages that it needs.
    """

    uploaded: datetime
    yanked: str | None = None
    builds: bool = True
    wants: tuple[str, ...] = ()


@dataclass(kw_only=True, slots=True)
class Package:
    """One accepted package as the model sees it.

    Attributes:
        allow: ``[update] allow``.
        series: ``[update] series``.
        ignore: Versions that are never taken.
        mode: ``[update] mode``.
        cooldown: ``[update] cooldown``.
        releases: What upstream has.
        pins: What the spec pins.
        published: The versions in our index, each with why it is yanked; None where it is not.
        missed: Since when a published version is missed upstream.
    """

    allow: str = ""
    series: tuple[str, ...] = ()
    ignore: frozenset[str] = frozenset()
    mode: str = "auto"
    cooldown: timedelta = timedelta(0)
    releases: dict[str, Release] = field(default_factory=dict)
    pins: set[str] = field(default_factory=set)
    published: dict[str, str | None] = field(default_factory=dict)
    missed: dict[str, datetime] = field(default_factory=dict)

    def news(self, now: datetime) -> list[str]:
        """The versions that a pass wants: the newest of each series, where it is newer than what is pinned."""
        found = []
        for series in self.series or ("",):
            inside = SpecifierSet(f"=={series}" if series else "")
            fit = [v for v, release in self.releases.items() if self._takes(v, release, now) and Version(v) in inside]
            pinned = max((Version(pin) for pin in self.pins if Version(pin) in inside), default=None)
            newest = max(fit, key=Version, default=None)
            if newest and (pinned is None or Version(newest) > pinned):
                found.append(newest)
        return found

    def _takes(self, version: str, release: Release, now: datetime) -> bool:
        parsed = Version(version)
        return (
            release.yanked is None
            and not parsed.is_prerelease
            and parsed in SpecifierSet(self.allow)
            and version not in self.ignore
            and (not self.cooldown or release.uploaded + self.cooldown <= now)
        )

    def see_yanks(self, now: datetime) -> None:
        """What upstream yanks is yanked at once, what it deletes when that has stayed so for a day."""
        for version in self.published:
            release = self.releases.get(version)
            if release is not None:
                self.missed.pop(version, None)
                self.published[version] = None if release.yanked is None else f"upstream: {release.yanked}"
            elif now - self.missed.setdefault(version, now) >= DELETION:
                self.published[version] = "upstream deleted it"


@dataclass(kw_only=True)
class Month:
    """The month: a bench under git, the time, and the model beside it.

    Attributes:
        here: The workspace, the state and upstream.
        now: The time.
        packages: The model of each accepted package.
        updates: What was taken, in order: ``(name, version)``.
        silent: Names of whom upstream tells nothing that can be read.
    """

    here: Bench
    now: datetime = BEGIN
    packages: dict[str, Package] = field(default_factory=dict)
    updates: list[tuple[str, str]] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)

    def expect(self) -> None:
        """Bring the model to where a pass that comes to its end now brings the workspace."""
        for name, package in self.packages.items():
            # What a person has pinned needs nobody upstream.
            package.published |= dict.fromkeys(package.pins - package.published.keys())
            if name not in self.silent:
                wanted = package.news(self.now) if package.mode == "auto" or not package.pins else ()
                for version in wanted:
                    self.take(name, version)
                package.see_yanks(self.now)

    def take(self, name: str, version: str) -> None:
        """A version is built and pinned, if it builds and all that it needs has been accepted."""
        package = self.packages[name]
        release = package.releases[version]
        if release.builds and all(wanted in self.packages for wanted in release.wants):
            if package.pins:
                self.updates.append((name, version))
            package.pins.add(version)
            package.published[version] = None

    # Upstream

    def release(
        self,
        name: str,
        version: str,
        *,
        wants: tuple[str, ...] = (),
        builds: bool = True,
        yanked: str | None = None,
        **facts: Any,
    ) -> None:
        """Upstream publishes a version; the facts are those of ``tiny_files``."""
        path = self.here.sdist(name, version, requires=wants, act="" if builds else BROKEN, **facts)
        upstream = self.here.upstream
        upstream.upload_times[path.name] = self.now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if yanked is not None:
            upstream.yanked[path.name] = yanked
        if name in self.packages:
            release = Release(uploaded=self.now, yanked=yanked, builds=builds, wants=wants)
            self.packages[name].releases[version] = release

    def yank(self, name: str, version: str, reason: str) -> None:
        """Upstream yanks a version."""
        self.here.upstream.yanked[_file(name, version)] = reason
        self.packages[name].releases[version].yanked = reason

    def take_back(self, name: str, version: str) -> None:
        """Upstream takes a yank back."""
        del self.here.upstream.yanked[_file(name, version)]
        self.packages[name].releases[version].yanked = None

    def delete(self, name: str, version: str) -> None:
        """Upstream deletes a version."""
        (self.here.upstream.directory / _file(name, version)).unlink()
        del self.packages[name].releases[version]

    # People

    def accept(self, name: str, *, update: str = "", text: str = "", **rules: Any) -> None:
        """A package that has been accepted before the month begins; the rules are those of ``Package``."""
        self.packages[name] = Package(**rules)
        self.now = BEGIN - timedelta(days=100)
        self.release(name, "1.0")
        self.now = BEGIN
        self.here.spec(name, text + (f"[update]\n{update}\n" if update else ""))

    def edit(self, file: str, change: Callable[[str], str], message: str) -> None:
        """Somebody changes a file of the workspace, and commits that."""
        path = self.here.workspace / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(change(path.read_text() if path.exists() else ""))
        self.commit(message)

    def commit(self, message: str) -> None:
        """Somebody commits what lies in the workspace."""
        git(self.here.workspace, "add", "--all")
        git(self.here.workspace, "commit", "--quiet", f"--message={message}")

    # pybuild

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start pybuild on this day."""
        argv = [sys.executable, str(SIMULATED), self.now.isoformat(), *self.here.argv(*arguments)[3:]]
        environ = clean_environ(self.here.root) | self.here.environ
        pipes: Mapping[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(argv, env=environ, start_new_session=True, **pipes)

    def pybuild(self, *arguments: str) -> Ran:
        """Run pybuild on this day."""
        with self.start(*arguments) as process:
            stdout, stderr = process.communicate(timeout=120)
        assert "Traceback" not in stderr, stderr
        return Ran(code=process.returncode, stdout=stdout, stderr=stderr)

    # What came of it

    def pins(self) -> dict[str, set[str]]:
        """The versions that the specs pin."""
        specs = {name: tomllib.loads(self.here.spec_text(name)) for name in self.packages}
        return {name: set(spec.get("versions", {})) for name, spec in specs.items()}

    def published(self) -> dict[str, dict[str, str | None]]:
        """The versions that our index has, each with why its newest build is yanked."""
        return {
            name: {str(file.version).partition("+")[0]: file.yanked for file in self.here.index.files(name)}
            for name in self.packages
        }


def _file(name: str, version: str) -> str:
    return f"{name.replace('-', '_')}-{version}.tar.gz"


Event = tuple[datetime, Callable[[Month], None]]


def day(count: float, do: Callable[[Month], None]) -> Event:
    """Something that happens on a day, an hour after a pass."""
    return BEGIN + timedelta(days=count, hours=1), do


def chances(seed: int, names: tuple[str, ...], days: int) -> list[Event]:
    """Releases, backports, prereleases, yanks and a deletion at random moments, the same for each seed."""
    chance = random.Random(seed)
    events: list[Event] = []
    for name in names:
        minor, micro, kinds = 0, 0, ["minor", "micro", "micro", "backport", "prerelease", "yanked", "yank", "delete"]
        moments = [BEGIN + timedelta(days=chance.uniform(0.1, days - 2)) for _ in range(chance.randint(4, 7))]
        for moment in sorted(moments):
            how: dict[str, Any] = {}
            match chance.choice(kinds):
                case "minor":
                    minor, micro = minor + 1, 0
                    version = f"1.{minor}.{micro}"
                case "micro":
                    micro += 1
                    version = f"1.{minor}.{micro}"
                case "backport":
                    version = f"0.9.{len(events)}"
                case "prerelease":
                    version = f"1.{minor + 1}.0rc{len(events)}"
                case "yanked":
                    version, how = f"1.{minor}.{micro + 50}", {"yanked": "made by mistake"}
                case "yank":
                    events.append((moment, lambda month, name=name: _withdraw(month, name, delete=False)))
                    continue
                case _:
                    # A second one would be most of what there is, which is not believed so soon.
                    kinds.remove("delete")
                    events.append((moment, lambda month, name=name: _withdraw(month, name, delete=True)))
                    continue
            events.append((moment, lambda month, name=name, new=version, how=how: month.release(name, new, **how)))
    return events


def _withdraw(month: Month, name: str, *, delete: bool) -> None:
    """Upstream thinks better of its newest version; the first one stays, so that there is one to the end."""
    sound = [version for version, release in month.packages[name].releases.items() if release.yanked is None]
    newest = max(sound, key=Version)
    if newest == "1.0":
        return
    if delete:
        month.delete(name, newest)
    else:
        month.yank(name, newest, "found to be wrong")
