"""Which version a requirement gets (DESIGN.md, "which version a requirement gets")."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pybuilder.errors import ReviewError
from pybuilder.names import numbered_version
from pybuilder.resolution import Wanted, applies
from pybuilder.spec import Spec
from pybuilder.stages import supports_python
from pybuilder.state import State
from pybuilder.upstream import File, Upstream
from pybuilder.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Chooser:
    """Says which versions there are of accepted packages.

    Attributes:
        workspace: Whose specs accept packages and pin versions.
        state: What has been published.
        upstream: The upstream index, asked only where neither knows a version.
        channel: The channel's name.
        label: The channel's label.
        python: The target's full version.
        now: The clock, for cooldowns.
    """

    workspace: Workspace
    state: State
    upstream: Upstream
    channel: str
    label: str
    python: str
    now: Callable[[], datetime]

    def is_accepted(self, name: str) -> bool:
        """Whether the package has a spec."""
        return self.workspace.spec_path(name).is_file()

    def check_accepted(self, wanted: Iterable[Wanted], markers: Mapping[str, str]) -> None:
        """Refuse requirements on packages that nobody has accepted, all of them at once; those of extras are let pass.

        Raises:
            ReviewError: Names each of them and who wants it.
        """
        missing = [
            w
            for w in wanted
            if applies(w.requirement, markers, frozenset())
            and not self.is_accepted(canonicalize_name(w.requirement.name))
        ]
        if missing:
            raise not_accepted(missing)

    def versions(self, name: NormalizedName, specifiers: Sequence[SpecifierSet]) -> Sequence[Version]:
        """The versions that satisfy every specifier, newest first, from the first place that has any.

        The places: what the workspace pins; what the channel has published; what the spec names itself (a git tag, a
        URL, a directory); what upstream has and the spec's rules allow. A specifier with our label in it means
        numbered builds, and only those.
        """
        wanted = SpecifierSet()
        for specifier in specifiers:
            wanted &= specifier
        published = self.state.published(self.channel, name)
        if any("+" in specifier.version for specifier in wanted):
            builds = [numbered_version(Version(wheel.version), self.label, wheel.number) for wheel in published]
            if found := _newest_first(builds, wanted, prereleases=True):
                return found
        spec = self.workspace.spec(name)
        if spec is None:
            return ()
        places: tuple[Callable[[], Iterable[Version]], ...] = (
            lambda: spec.versions,
            lambda: [Version(wheel.version) for wheel in published],
            lambda: self._beyond(name, spec, wanted),
        )
        for place in places:
            if found := _newest_first(place(), wanted, prereleases=spec.update.prereleases or None):
                return found
        return ()

    def offered(self, name: NormalizedName, wanted: SpecifierSet) -> Sequence[Version]:
        """The versions upstream has that a spec with no rules of its own lets be taken, newest first."""
        return _newest_first(self._beyond(name, Spec(name=name), wanted), wanted, prereleases=None)

    def what_there_is(self, name: NormalizedName) -> str:
        """The versions that could have been taken, for a message."""
        spec = self.workspace.spec(name)
        pinned = ", ".join(map(str, sorted(spec.versions, reverse=True))) if spec and spec.versions else "nothing"
        if spec is None or spec.source.type != "sdist":
            return f"its spec pins {pinned}"
        there = sorted(self.upstream.sdists(name), reverse=True)[:8]
        return f"its spec pins {pinned}; upstream's newest sources are {', '.join(map(str, there)) or 'none'}"

    def _beyond(self, name: NormalizedName, spec: Spec, wanted: SpecifierSet) -> Iterable[Version]:
        """Versions that nobody has pinned yet."""
        exact = [Version(s.version) for s in wanted if s.operator == "==" and not s.version.endswith(".*")]
        if spec.source.type != "sdist":
            return exact
        return [
            version
            for version, file in self.upstream.sdists(name).items()
            if self._allowed(spec, version, file, asked_for=version in exact)
        ]

    def _allowed(self, spec: Spec, version: Version, file: File, *, asked_for: bool) -> bool:
        """Whether a spec's rules let a version of upstream's be taken without asking anybody.

        A version that is asked for by name is taken although it is yanked (PEP 592) or young.
        """
        update = spec.update
        if not update.allow.contains(version, prereleases=True):
            return False
        if update.series and not any(SpecifierSet(f"=={series}").contains(version) for series in update.series):
            return False
        if any(ignored.contains(version, prereleases=True) for ignored in update.ignore):
            return False
        if supports_python(file.requires_python, self.python) is False:
            return False
        if asked_for:
            return True
        return not file.yanked and not self._too_young(update.cooldown, file)

    def _too_young(self, cooldown: timedelta | None, file: File) -> bool:
        least = self.workspace.settings.cooldown if cooldown is None else cooldown
        return bool(least) and file.upload_time is not None and self.now() - file.upload_time < least


def not_accepted(missing: Iterable[Wanted]) -> ReviewError:
    """The error that says who wants what nobody has accepted."""
    wanted = tuple(
        (canonicalize_name(w.requirement.name), str(w.requirement), w.wanted_by or "the command line") for w in missing
    )
    return ReviewError(
        "nobody has accepted " + "; ".join(f"{need} (wanted by {by})" for _, need, by in wanted),
        wanted=wanted,
        cure=f"write a spec for each: pybuild new {' '.join(sorted({name for name, _, _ in wanted}))}",
    )


def _newest_first(versions: Iterable[Version], wanted: SpecifierSet, *, prereleases: bool | None) -> list[Version]:
    """Those that satisfy, newest first; prereleases by PEP 440: where asked for, or where there is nothing else."""
    return sorted(set(wanted.filter(versions, prereleases=prereleases)), reverse=True)
