"""What differs between two attempts: the inputs that their keys are digests of, and the circumstances beside them.

Pure: from two accounts to a list of changes in a stable order, for ``diff``, for ``show`` (why a build was no cache
hit), and for whoever must say why a plan can't be repeated here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pybuilder.plan import Plan, Root, Target, digest

_SPEC_TABLES = {"env": "[build.env]", "config_settings": "[build.config-settings]"}
_SPEC_LISTS = {"add_requires": "[build] add-requires", "remove_requires": "[build] remove-requires"}
_SPEC_VALUES = {"subdirectory": "[source] subdirectory", "vendor": "[build] vendor"}
_BUILDROOT_TABLES = {"root_env": "[env]", "root_macros": "[macros]"}
_HOST = {"os_release": "os-release", "packages": "the system's packages", "interpreter": "the interpreter's files"}
_PYBUILD = {
    "environment_path": "path of the environment",
    "sandbox_version": "version of the sandbox",
    "canonicaliser_version": "version of the canonicaliser",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One thing that is not the same.

    Attributes:
        part: What it belongs to: ``source``, ``patches``, ``RPMs``, …
        what: The thing itself, by name.
        before: What it was; empty where there was none.
        after: What it is; empty where there is none any more.
    """

    part: str
    what: str
    before: str
    after: str

    @property
    def as_json(self) -> dict[str, str | None]:
        """For programs; null where there is none."""
        return {"part": self.part, "what": self.what, "before": self.before or None, "after": self.after or None}

    @property
    def sentence(self) -> str:
        """For people."""
        if self.before and self.after:
            return f"{self.what}: {self.before} -> {self.after}"
        return f"{self.what}: {f'added, {self.after}' if self.after else f'gone, was {self.before}'}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """What is written down of an attempt: its plan, and its record."""

    plan: Plan
    record: Mapping[str, Any]


def input_changes(before: Account, after: Account) -> tuple[Change, ...]:
    """The inputs that are not the same, in a stable order; none if and only if the keys are equal."""
    one, two = before.plan, after.plan
    return (
        *_identity(before, after),
        *_patches(before, after),
        *_spec(one, two),
        *_buildroot(one, two),
        *_environment(one, two),
        *_target(one.target, two.target),
        *_pybuild(one, two),
    )


def circumstance_changes(before: Account, after: Account) -> tuple[Change, ...]:
    """What is told of two attempts and enters no key: requirements as written, channel, engine, tools."""
    one, two = before.record, after.record
    return (
        *_listed("requirements", "build requirement", before.plan.requires, after.plan.requires),
        *_value("circumstances", "channel", one["channel"], two["channel"]),
        *_value("circumstances", "engine", one["engine"], two["engine"]),
        *_value("circumstances", "[prebuilt] reason", one.get("prebuilt") or "", two.get("prebuilt") or ""),
        *_table("tools", "", one["tools"], two["tools"]),
    )


def _identity(before: Account, after: Account) -> Iterator[Change]:
    one, two = before.plan.recipe, after.plan.recipe
    yield from _value("version", "package", one.name, two.name)
    yield from _value("version", "version", one.version, two.version)
    if one.source != two.source:
        yield Change(part="source", what="archive", before=_archive(before), after=_archive(after))
    yield from _value(
        "source", "SOURCE_DATE_EPOCH", str(before.plan.source_date_epoch), str(after.plan.source_date_epoch)
    )


def _archive(account: Account) -> str:
    return f"{account.record['source']['file']} sha256 {account.plan.recipe.source}"


def _patches(before: Account, after: Account) -> Iterator[Change]:
    one, two = _patch_names(before), _patch_names(after)
    found = list(_table("patches", "", dict(one), dict(two)))
    yield from found
    if one != two and not found:
        names = [", ".join(name for name, _ in patches) for patches in (one, two)]
        yield Change(part="patches", what="order", before=names[0], after=names[1])


def _patch_names(account: Account) -> list[tuple[str, str]]:
    """File and digest of each patch; a digest stands for a name that the record doesn't have."""
    names = {patch["sha256"]: patch["file"] for patch in account.record["patches"]}
    return [(names.get(sha256, sha256), f"sha256 {sha256}") for sha256 in account.plan.recipe.patches]


def _spec(before: Plan, after: Plan) -> Iterator[Change]:
    one, two = before.recipe, after.recipe
    for field, what in _SPEC_LISTS.items():
        yield from _listed("spec", what, getattr(one, field), getattr(two, field))
    for field, what in _SPEC_TABLES.items():
        yield from _table("spec", what, getattr(one, field), getattr(two, field))
    for field, what in _SPEC_VALUES.items():
        yield from _value("spec", what, getattr(one, field), getattr(two, field))


def _buildroot(before: Plan, after: Plan) -> Iterator[Change]:
    definition = [
        change
        for field, what in _BUILDROOT_TABLES.items()
        for change in _table("buildroot", what, getattr(before.recipe, field), getattr(after.recipe, field))
    ]
    yield from definition
    one, two = before.root, after.root
    if (one.kind, one.digest) == (two.kind, two.digest):
        return
    contents = list(_contents(one, two)) if one.kind == two.kind else []
    yield from contents
    if not contents and before.recipe.root_macros == after.recipe.root_macros:
        yield Change(part="buildroot", what="root", before=f"{one.kind} {one.digest}", after=f"{two.kind} {two.digest}")


def _contents(before: Root, after: Root) -> Iterator[Change]:
    if before.kind == "rpm":
        yield from _table("RPMs", "", _rpms(before), _rpms(after))
        return
    for field, what in _HOST.items():
        yield from _value("system", what, before.contents.get(field, ""), after.contents.get(field, ""))


def _rpms(root: Root) -> dict[str, str]:
    return {rpm["name"]: f"{rpm['evra']} sha256 {rpm['sha256']}" for rpm in root.contents.get("rpms", ())}


def _environment(before: Plan, after: Plan) -> Iterator[Change]:
    one, two = (
        {each.name: f"{each.version} payload {each.payload}" for each in plan.environment} for plan in (before, after)
    )
    yield from _table("environment", "", one, two)


def _target(before: Target, after: Target) -> Iterator[Change]:
    yield from _value("target", "name", before.name, after.name)
    yield from _value("target", "Python", before.full_version, after.full_version)
    if list(before.tags) != list(after.tags):
        lists = [f"{len(target.tags)}, digest {digest(target.tags)}" for target in (before, after)]
        yield Change(part="target", what="accepted tags", before=lists[0], after=lists[1])


def _pybuild(before: Plan, after: Plan) -> Iterator[Change]:
    one, two = before.recipe, after.recipe
    # The path has the version in it: where that is another, so is the path.
    if (one.name, one.version) == (two.name, two.version):
        yield from _value("pybuild", "path of the source", before.build_path, after.build_path)
    for field, what in _PYBUILD.items():
        yield from _value("pybuild", what, str(getattr(before, field)), str(getattr(after, field)))


def _value(part: str, what: str, before: str, after: str) -> Iterator[Change]:
    if before != after:
        yield Change(part=part, what=what, before=before, after=after)


def _listed(part: str, what: str, before: Sequence[str], after: Sequence[str]) -> Iterator[Change]:
    """The members of two lists that are not in both; their order where that is the difference."""
    gone = [each for each in before if each not in after]
    new = [each for each in after if each not in before]
    for each in gone:
        yield Change(part=part, what=what, before=each, after="")
    for each in new:
        yield Change(part=part, what=what, before="", after=each)
    if list(before) != list(after) and not gone and not new:
        yield Change(part=part, what=f"order of {what}", before=", ".join(before), after=", ".join(after))


def _table(part: str, table: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """The keys of two tables whose values are not the same, sorted."""
    for name in sorted(before.keys() | after.keys()):
        one, two = _plain(before.get(name)), _plain(after.get(name))
        if one != two:
            yield Change(part=part, what=f"{table} {name}".strip(), before=_shown(one), after=_shown(two))


def _plain(value: Any) -> Any:
    """A value as JSON reads it back."""
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    """A value for people; one that is there is never shown as nothing."""
    if value is None or isinstance(value, str):
        return "" if value is None else value or "''"
    return ", ".join(map(repr, value)) if value else "[]"
