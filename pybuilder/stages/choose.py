"""Which version a requirement gets (DESIGN.md, "which version a requirement gets")."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pybuilder.errors import FetchError, ReviewError
from pybuilder.filenames import wheel_version
from pybuilder.http import NotFoundError
from pybuilder.joint import Offer
from pybuilder.names import minor_version, numbered_version, split_number
from pybuilder.rejections import review_cure
from pybuilder.resolution import Wanted, applies, exact_versions
from pybuilder.spec import Spec
from pybuilder.state import State
from pybuilder.workspace import Workspace

if TYPE_CHECKING:
    from pybuilder.candidates import Rules
    from pybuilder.stages.verdict import Verdict
    from pybuilder.upstream import Upstream
    from pybuilder.upstream.files import File

_ALL_THE_SAME = "name one with == on the command line, in a constraint or in add-requires, and it is taken all the same"


@dataclass(frozen=True, kw_only=True, slots=True)
class Chooser:
    """Says which versions there are of accepted packages.

    Attributes:
        workspace: Whose specs accept packages and pin versions.
        state: What has been published.
        upstream: The upstream index, asked only where neither knows a version.
        channel: The channel's name.
        label: The channel's label.
        buildroot: The channel's buildroot, for specs that say something else in another.
        variant: The channel's variant, likewise.
        tags: Every tag that the target accepts, best first, for those that use upstream's wheel.
        python: The target's full version.
        now: The clock, for cooldowns.
        yanked: Why versions are yanked in the channel's index, by project.
    """

    workspace: Workspace
    state: State
    upstream: Upstream
    channel: str
    label: str
    buildroot: str
    variant: str
    tags: Sequence[str]
    python: str
    now: Callable[[], datetime]
    yanked: Callable[[], Mapping[NormalizedName, Mapping[Version, str]]]

    def is_accepted(self, name: str) -> bool:
        """Whether the package has a spec."""
        return self.workspace.accepts(name)

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
            raise self.not_accepted(missing)

    def not_accepted(self, missing: Iterable[Wanted]) -> ReviewError:
        """The error that says who wants what nobody has accepted, and what somebody has said against it."""
        wanted = tuple(
            (canonicalize_name(w.requirement.name), str(w.requirement), w.wanted_by or "the command line")
            for w in missing
        )
        refusals: dict[str, str] = {name: self.workspace.refusal(name) for name, _, _ in wanted}
        told = [
            f"{need} (wanted by {by})" + (f", {refusals[name]}" if refusals[name] else "") for name, need, by in wanted
        ]
        return ReviewError(
            f"nobody has accepted {'; '.join(told)}", wanted=wanted, cure=review_cure(sorted(refusals), refusals)
        )

    def versions(
        self,
        name: NormalizedName,
        specifiers: Sequence[SpecifierSet],
        *,
        used: Collection[Version] = (),
        asked_for: Collection[Version] = (),
        upgrade: bool = False,
    ) -> Sequence[Version]:
        """The versions that satisfy every specifier, newest first, from the first place that has any.

        The places: what is in use already; what the workspace pins; what the channel has published; what the spec
        names itself (a git tag, a URL, a directory); what upstream has and the spec's rules allow. A specifier with our
        label in it means numbered builds, and only those. What the channel has yanked is taken where ``==`` asks for
        it, or where it is in use already, and else passed over (PEP 592).

        Args:
            name: The package.
            specifiers: What must be satisfied.
            used: Versions that whoever asks has chosen for something else.
            asked_for: Versions that a person asks for by name; they may be young.
            upgrade: Whether upstream is asked at once.
        """
        wanted = SpecifierSet()
        for specifier in specifiers:
            wanted &= specifier
        named = exact_versions(wanted)
        shunned = self.yanked().get(name, {}).keys() - {*named, *used}
        if any("+" in specifier.version for specifier in wanted):
            numbered = [
                (version, numbered_version(version, self.label, number)) for version, number in self._published(name)
            ]
            builds = [build for version, build in numbered if version not in shunned or build in named]
            if found := _newest_first(builds, wanted, early=lambda _: True):
                return found
        spec = self.workspace.spec(name)
        if spec is None:
            return ()
        pinned = spec.versions

        def built() -> Iterable[Version]:
            return (version for version, _ in self._published(name))

        places: tuple[Callable[[], Iterable[Version]], ...] = (
            lambda: used,
            lambda: pinned,
            built,
            lambda: self._beyond(name, spec, wanted, asked_for),
        )
        if upgrade:
            places = (
                lambda: used,
                lambda: [*pinned, *built(), *self._beyond(name, spec, wanted, asked_for)],
            )
        return taken(wanted, places=places, yanked=shunned, early=lambda version: self._is_early(spec, version))

    def _published(self, name: NormalizedName) -> list[tuple[Version, int]]:
        """The versions and numbers that the channel has published, newest first."""
        return [(Version(wheel.version), wheel.number) for wheel in self.state.published(self.channel, name)]

    def known(self, name: NormalizedName) -> tuple[Version, ...]:
        """The versions of an accepted package that can be had without asking upstream, the preferred first.

        What the channel has yanked is not among them.
        """
        yanked = self.yanked().get(name, {})
        return tuple(version for version in self._had(name) if version not in yanked)

    def _had(self, name: NormalizedName) -> tuple[Version, ...]:
        """What the workspace pins and what the channel has published."""
        spec = self.workspace.spec(name)
        if spec is None:
            return ()
        published = {version for version, _ in self._published(name)}
        return tuple(dict.fromkeys([*sorted(spec.versions, reverse=True), *sorted(published, reverse=True)]))

    def offers(
        self, name: NormalizedName, *, asked_for: Collection[Version], known_only: bool
    ) -> tuple[Offer, ...] | None:
        """Everything of a package that a joint resolution may choose from.

        Args:
            name: The package.
            asked_for: Versions that a person asks for by name; they may be yanked or young.
            known_only: Whether upstream is left alone where the workspace or the channel know versions.

        Returns:
            In no order; None where there is no such project.
        """
        known = self.known(name)
        numbered = [version for version in asked_for if split_number(version, self.label)]
        spec = self.workspace.spec(name)
        if numbered or spec is None:
            return tuple(_offer(version) for version in numbered)
        yanked = self.yanked().get(name, {})
        had = self._had(name)
        if not spec.asks_index:
            return tuple(_offer(version, yanked) for version in {*had, *asked_for})
        found = {version: _offer(version, yanked) for version in (*had, *self._named_by_spec(spec, asked_for))}
        if not (known and known_only):
            try:
                found = self._upstream_offers(name, spec, asked_for) | found
            except NotFoundError:
                if not found:
                    return None
        return tuple(found.values())

    def _upstream_offers(
        self, name: NormalizedName, spec: Spec, asked_for: Collection[Version]
    ) -> dict[Version, Offer]:
        files = self._files(name, spec)
        verdict = self._verdict(spec, files)
        return {
            version: Offer(
                version=version,
                requires_python=file.requires_python,
                yanked=file.yanked,
                yanked_reason=file.yanked_reason,
                upload_time=file.upload_time,
            )
            for version, file in files.items()
            if not verdict.rules.ruled_out(version) and (version in asked_for or not verdict.ripe_at(version))
        }

    def offered(self, name: NormalizedName, wanted: SpecifierSet) -> Sequence[Version]:
        """The versions upstream has that a spec with no rules of its own lets be taken, newest first."""
        beyond = self._beyond(name, Spec(name=name), wanted, exact_versions(wanted))
        return _newest_first(beyond, wanted, early=lambda _: False)

    def what_there_is(self, name: NormalizedName) -> str:
        """The versions that could have been taken, for a message."""
        spec = self.workspace.spec(name)
        pinned = ", ".join(map(str, sorted(spec.versions, reverse=True))) if spec and spec.versions else "nothing"
        if spec is None or not spec.asks_index:
            return "; ".join(filter(None, (f"its spec pins {pinned}", self._yanked(name))))
        there = sorted(self._files(name, spec), reverse=True)[:8]
        if not there and spec.knows_prebuilt and (lack := self._lack_of_wheel(name)):
            return f"its spec pins {pinned}; {lack}"
        told = f"its spec pins {pinned}; upstream's newest sources are {', '.join(map(str, there)) or 'none'}"
        return "; ".join(filter(None, (told, self._withheld(name))))

    def withheld(self, names: Iterable[NormalizedName]) -> list[str]:
        """Of each package of which something is there and not taken: what, and why, for a message."""
        told = []
        for name in sorted(set(names)):
            with suppress(FetchError):
                told += [f"of {name} {some}"] if (some := self._withheld(name)) else []
        return told

    def _withheld(self, name: NormalizedName) -> str:
        return "; ".join(filter(None, (self._ruled_out(name), self._yanked(name), self.too_young(name))))

    def _ruled_out(self, name: NormalizedName) -> str:
        """Which of upstream's newest versions the spec's rules forbid; empty if none."""
        spec = self.workspace.spec(name)
        if spec is None or not spec.asks_index:
            return ""
        rules, newest = self._rules(spec), sorted(self._files(name, spec), reverse=True)[:8]
        told = [f"{version} ({objection[1]})" for version in newest if (objection := rules.ruled_out(version))]
        return f"the [update] of specs/{name}.toml rules out {', '.join(told)}" if told else ""

    def _yanked(self, name: NormalizedName) -> str:
        reasons = self.yanked().get(name, {})
        told = [
            f"{version} ({reasons[version] or 'no reason given'})" for version in self._had(name) if version in reasons
        ]
        return f"yanked are {', '.join(told)}; {_ALL_THE_SAME}" if told else ""

    def too_young(self, name: NormalizedName) -> str:
        """Which of upstream's newest versions only their age forbids, until when, and what to do; empty if none."""
        spec = self.workspace.spec(name) or Spec(name=name)
        if not spec.asks_index:
            return ""
        files = self._files(name, spec)
        verdict = self._verdict(spec, files)
        young = sorted(filter(verdict.is_only_young, files), reverse=True)[:8]
        listed = ", ".join(f"{version} until {verdict.ripe_at(version):%Y-%m-%d %H:%M} UTC" for version in young)
        return f"too young are {listed}; {_ALL_THE_SAME}" if young else ""

    def _beyond(
        self, name: NormalizedName, spec: Spec, wanted: SpecifierSet, asked_for: Collection[Version]
    ) -> Iterable[Version]:
        """Versions that nobody has pinned yet."""
        exact = exact_versions(wanted)
        if not spec.asks_index:
            return exact
        files = self._files(name, spec)
        verdict = self._verdict(spec, files)
        offered = [v for v in files if verdict.takes(v, named=v in exact, asked_for=v in asked_for)]
        return [*offered, *self._named_by_spec(spec, exact)]

    def _files(self, name: NormalizedName, spec: Spec) -> Mapping[Version, File]:
        """What upstream has of each version: its wheel for the target where that is used, else its sdist.

        Of those that ``[update]`` selects, where it speaks of the index's versions.
        """
        files = self._all_files(name, spec)
        if spec.update.source != "pypi":
            return files
        # Here and below imported where upstream is asked: a run that finds everything cached does not.
        from pybuilder.candidates import version_of

        return {
            version: file
            for version, file in files.items()
            if not isinstance(version_of(str(version), spec.update), tuple)
        }

    def _all_files(self, name: NormalizedName, spec: Spec) -> Mapping[Version, File]:
        sdists = self.upstream.sdists(name) if spec.source.type == "sdist" else {}
        if not spec.knows_prebuilt:
            return sdists
        built = {version: file for version, file in sdists.items() if not self._is_prebuilt(spec, version)}
        wheels = self.upstream.project(name).best_wheels(self.tags)
        return built | {version: file for version, file in wheels.items() if self._is_prebuilt(spec, version)}

    def _named_by_spec(self, spec: Spec, exact: Iterable[Version]) -> list[Version]:
        """Of versions that are asked for by name, those that the spec has without upstream: a git tag, say."""
        if spec.source.type == "sdist":
            return []
        return [version for version in exact if not self._is_prebuilt(spec, version)]

    def _is_prebuilt(self, spec: Spec, version: Version) -> bool:
        minor = minor_version(self.python)
        return spec.is_prebuilt(version=version, buildroot=self.buildroot, python=minor, variant=self.variant)

    def _lack_of_wheel(self, name: NormalizedName) -> str:
        """The sentence on the newest version that has wheels, none of which is for this target; or nothing."""
        project = self.upstream.project(name)
        newest = max(filter(None, (wheel_version(file.filename) for file in project.files)), default=None)
        return project.lack_of_wheel(newest, "this target") if newest else ""

    def is_early(self, name: NormalizedName, version: Version) -> bool:
        """Whether a version of an accepted package is a prerelease that counts like any other version."""
        spec = self.workspace.spec(name)
        return spec is not None and self._is_early(spec, version)

    def _is_early(self, spec: Spec, version: Version) -> bool:
        return version.is_prerelease and self._rules(spec).counts_prereleases(version)

    def _verdict(self, spec: Spec, files: Mapping[Version, File]) -> Verdict:
        from pybuilder.stages.verdict import Verdict

        return Verdict.on(files, self._rules(spec), self.state)

    def _rules(self, spec: Spec) -> Rules:
        from pybuilder.candidates import Rules

        return Rules(
            spec=spec,
            buildroot=self.buildroot,
            variant=self.variant,
            pythons=(self.python,),
            cooldown=self.workspace.settings.cooldown,
            now=self.now(),
        )


def taken(
    wanted: SpecifierSet,
    *,
    places: Iterable[Callable[[], Iterable[Version]]],
    yanked: Collection[Version],
    early: Callable[[Version], bool],
) -> Sequence[Version]:
    """The versions that satisfy a specifier, newest first, from the first place that has any.

    Args:
        wanted: The specifier.
        places: Each gives the versions that it has.
        yanked: What is passed over but where ``==`` asks for it (PEP 592).
        early: Whether a version is a prerelease that counts like any other version.
    """
    shunned = {*yanked} - {*exact_versions(wanted)}
    for place in places:
        there = (version for version in place() if version not in shunned)
        if found := _newest_first(there, wanted, early=early):
            return found
    return ()


def _newest_first(
    versions: Iterable[Version], wanted: SpecifierSet, *, early: Callable[[Version], bool]
) -> list[Version]:
    """Those that satisfy, newest first; prereleases that are not early by PEP 440: asked for, or nothing else."""
    there = set(versions)
    counted = (version for version in wanted.filter(there, prereleases=True) if early(version))
    return sorted({*wanted.filter(there), *counted}, reverse=True)


def _offer(version: Version, yanked: Mapping[Version, str] = MappingProxyType({})) -> Offer:
    """A version of which nothing more needs to be known: somebody has taken it before, or asks for it by name."""
    reason = yanked.get(version)
    return Offer(
        version=version,
        requires_python="",
        yanked=reason is not None,
        yanked_reason=reason or "",
        upload_time=None,
    )
