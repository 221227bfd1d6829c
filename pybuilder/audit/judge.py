"""Whether all that is known of a wheel agrees, and what taints it: pure, from values to sentences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from packaging.version import InvalidVersion, Version

from pybuilder.audit.evidence import Account, Check, Evidence, Named
from pybuilder.names import any_number
from pybuilder.plan import Plan
from pybuilder.provenance import BILL, DIRTY, UNVERSIONED, Provenance, clock_problem
from pybuilder.record import LOG

Kind = Literal[
    "prebuilt",
    "host buildroot",
    "not sealed",
    "unsigned",
    "key from the index itself",
    "dirty workspace",
    "workspace without git",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What may taint a wheel: nothing of it is wrong, but it says less than it could."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """Something that taints a wheel.

    Attributes:
        kind: What.
        detail: More of it, where there is more; the reason for a prebuilt one.
    """

    kind: Kind
    detail: str = ""


def checks(found: Evidence) -> tuple[Check, ...]:
    """Everything that was compared for one wheel by itself; what is wrong has a problem."""
    return (
        *found.faults,
        *_content_checks(found),
        *_claim_checks(found),
        *(_record_checks(found, found.account) if found.account else ()),
        *(_plan_checks(found.plan, found.key, found.account) if found.plan and found.account else ()),
    )


def flags(found: Evidence) -> tuple[Flag, ...]:
    """What taints one wheel by itself, in the order of ``KINDS``."""
    return tuple(sorted(_flags(found), key=lambda flag: KINDS.index(flag.kind)))


def _flags(found: Evidence) -> Iterator[Flag]:
    account = found.account
    if account and account.prebuilt:
        yield Flag(kind="prebuilt", detail=account.prebuilt)
    elif account:
        if account.root[0] == "host":
            yield Flag(kind="host buildroot")
        if not account.sealed:
            yield Flag(kind="not sealed")
    if found.vouched.by == "nobody":
        yield Flag(kind="unsigned")
    if found.vouched.by == "a key from the index itself":
        yield Flag(kind="key from the index itself", detail=found.vouched.keyid)
    if found.claim and found.claim.workspace == DIRTY:
        yield Flag(kind="dirty workspace")
    if found.claim and found.claim.workspace == UNVERSIONED:
        yield Flag(kind="workspace without git")


def _content_checks(found: Evidence) -> Iterator[Check]:
    content = found.content
    if content is None:
        return
    yield equal("the wheel has the published digest", content.sha256, found.listed)
    if not content.unpacked:
        return
    yield Check(what="the wheel is sound, and RECORD is right for every file", problem="; ".join(content.problems))
    stated = found.account.payload if found.account else found.claim.payload_sha256 if found.claim else ""
    if stated:
        yield equal("without its number it is the payload", content.payload or "damaged", stated)


def _claim_checks(found: Evidence) -> Iterator[Check]:
    if found.vouched.problem:
        yield Check(what="its provenance is signed by a trusted key", problem=found.vouched.problem)
    elif found.vouched.keyid:
        yield Check(what=f"its provenance is signed by {found.vouched.by}, {found.vouched.keyid}")
    claim = found.claim
    if claim is None:
        return
    wheel = found.content.sha256 if found.content else found.listed
    yield equal("its provenance is about this file", claim.wheel, found.filename)
    yield equal("its provenance has the wheel's digest", claim.wheel_sha256, wheel)
    yield Check(what="its provenance tells a time that can be", problem=clock_problem(claim, found.read))
    for path, digest in sorted(claim.record.items()):
        name = path.rpartition("/")[2]
        yield equal(f"{name} is the one that its provenance names", found.files.get(path, "missing"), digest)
    if claim.bill:
        there = found.files.get(f"files/{found.filename}{BILL}", "missing")
        yield equal("its bill of materials is the one that its provenance names", there, claim.bill)
    if found.plan and found.account:
        yield _inputs_check(claim, found.plan, found.account)


def _inputs_check(claim: Provenance, plan: Plan, account: Account) -> Check:
    """The Statement's inputs against the plan's: neither may have one that the other lacks."""
    planned = dict(_inputs(plan, account))
    claimed = {each.sha256: each.name for each in claim.inputs}
    lacking = [name for digest, name in planned.items() if digest not in claimed]
    problem = f"it does not name {_listed(lacking)}" if lacking else ""
    if surplus := [f"{name} sha256 {digest}" for digest, name in claimed.items() if digest not in planned]:
        problem = f"{problem}; " * bool(problem) + f"it names {_listed(surplus)}, which the plan has not"
    return Check(what="its provenance names the inputs of the plan", problem=problem)


def _inputs(plan: Plan, account: Account) -> Iterator[tuple[str, str]]:
    yield plan.recipe.source, f"the source {account.source.file}"
    names = {patch.sha256: patch.file for patch in account.patches}
    for patch in plan.recipe.patches:
        yield patch, f"the patch {names.get(patch, patch)}"
    for each in plan.environment:
        yield each.payload, f"{each.name} {each.version}"
    for rpm in plan.root.contents.get("rpms", ()):
        yield rpm["sha256"], f"the RPM {rpm['name']}-{rpm['evra']}"


def _record_checks(found: Evidence, account: Account) -> Iterator[Check]:
    yield _names_check(found, account)
    if found.claim:
        yield equal("the record is the attempt that its provenance names", account.attempt, found.claim.attempt)
        yield equal("its provenance names the record's payload", found.claim.payload_sha256, account.payload)
        yield equal("its provenance names the record's key", found.claim.key, account.key)
        yield _told_check(found.claim, account)
    log = found.files.get(f"{found.record}/{LOG}", "missing")
    yield equal("the log is the recorded one", log, account.log_sha256)
    for patch in account.patches:
        there = found.files.get(f"{found.record}/{patch_path(patch)}", "missing")
        yield equal(f"the patch {patch.file} is the recorded one", there, patch.sha256)
    # Upstream's wheel is nobody's source, and is not published as one.
    if not account.prebuilt:
        yield equal(f"the source {account.source.file} is there", found.source or "missing", account.source.sha256)


def _told_check(claim: Provenance, account: Account) -> Check:
    """What a Statement says of the build itself; where it is unsigned, nothing else tells that it was changed."""
    return _same("its provenance tells of the build what the record does", _told(claim), _told(account))


def _told(build: Provenance | Account) -> Iterator[str]:
    kind = "upstream's wheel" if build.prebuilt else "a build"
    yield f"{kind} of {build.name} {build.version}"
    yield f"the buildroot {build.buildroot}"
    yield f"the engine {build.engine}"
    yield f"the commit {build.commit or 'none'}, {build.workspace}"


def patch_path(patch: Named) -> str:
    """Where a patch lies below a record."""
    return f"patches/{patch.file.rpartition('/')[2]}"


def _names_check(found: Evidence, account: Account) -> Check:
    split = any_number(Version(found.version))
    of = f"{found.name} {split[0] if split else found.version}"
    try:
        recorded = f"{account.name} {Version(account.version)}"
    except InvalidVersion:
        recorded = f"{account.name} {account.version}"
    return equal("the record is of this package and version", recorded, of)


def _plan_checks(plan: Plan, key: str, account: Account) -> Iterator[Check]:
    """The record against the plan, whose digest is the key: what a record says of inputs must be what went in."""
    yield equal("the plan has the recorded key", key, account.key)
    recipe = plan.recipe
    yield equal("the record names the plan's package", _pair(account.name, account.version), _pair(*_named(plan)))
    yield equal("the record names the plan's source", account.source.sha256, recipe.source)
    yield _same("the record names the plan's patches", (each.sha256 for each in account.patches), recipe.patches)
    yield _same(
        "the record names the plan's build environment",
        (f"{each.name} {each.version} {each.payload}" for each in account.environment),
        (f"{each.name} {each.version} {each.payload}" for each in plan.environment),
    )
    yield equal("the record names the plan's target", account.target, plan.target.name)
    yield equal("the record names the plan's root", _pair(*account.root), _pair(plan.root.kind, plan.root.digest))
    yield _root_check(plan)


def _named(plan: Plan) -> tuple[str, str]:
    return plan.recipe.name, plan.recipe.version


def _pair(one: str, other: str) -> str:
    return f"{one} {other}"


def _root_check(plan: Plan) -> Check:
    what = "the root's digest is that of what it consists of"
    try:
        return equal(what, plan.root.stated_digest(plan.recipe.root_macros), plan.root.digest)
    except (KeyError, TypeError, AttributeError) as error:
        return Check(what=what, problem=f"its list can't be read: {error!r}")


def _same(what: str, found: Iterable[str], expected: Iterable[str]) -> Check:
    """Two lists that must be the same in the same order; told are those that differ."""
    here, there = list(found), list(expected)
    if here == there:
        return Check(what=what)
    extra, lacking = [each for each in here if each not in there], [each for each in there if each not in here]
    said = [f"it has {_listed(extra)}"] * bool(extra) + [f"it lacks {_listed(lacking)}"] * bool(lacking)
    return Check(what=what, problem="; ".join(said) or "they are in another order")


def _listed(texts: Iterable[str]) -> str:
    shown = list(texts)
    more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
    return ", ".join(shown[:3]) + more


def equal(what: str, found: str, expected: str) -> Check:
    """A check that two texts are the same."""
    if found == expected:
        return Check(what=what)
    return Check(what=what, problem=f"it is {_word(found)}, not {_word(expected)}")


def _word(text: str) -> str:
    return text if text and text.isprintable() else json.dumps(text)
