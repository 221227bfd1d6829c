"""What becomes of a source by what was found in it and what is known of its version: a workspace's ``[screen]``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pybuilder.errors import PybuildError, ReviewError, ScreeningError
from pybuilder.screening.found import Findings, Found

if TYPE_CHECKING:
    from pybuilder.screening.formats import Kind
    from pybuilder.screening.osv import Advisory
    from pybuilder.settings import Exempt, Policy, Screen

_SCREENING = "the screening of its source"
_NAMED = 8
# What is of no kind is an advisory.
_WORDS: Mapping[Kind | None, tuple[str, str]] = {
    "compiled": ("compiled object", "compiled objects"),
    "archive": ("archive", "archives"),
    None: ("advisory", "advisories"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A source, or a patch of it, with what was found there.

    Attributes:
        sha256: Its digest.
        findings: What was found.
        accepted: Why all of it is taken for good already; empty where it is not.
    """

    sha256: str
    findings: Findings
    accepted: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Item:
    """One thing that a policy judges, and why it is accepted, if somebody has.

    Attributes:
        kind: What it is.
        text: For people.
        id: The digest or the advisory's id that an exception names it by.
        part: The digest of the source or patch that it is in; empty for an advisory.
        accepted: The reason, or empty.
        count: How many there are.
    """

    kind: Kind | None
    text: str
    id: str
    part: str = ""
    accepted: str
    count: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """The screening of one version.

    Attributes:
        account: As records have it; see ``judge``.
        stopped: Why it goes no further, or None.
    """

    account: Mapping[str, Any]
    stopped: PybuildError | None


def judge(
    name: str,
    version: str,
    *,
    parts: Sequence[Part],
    advisories: Sequence[Advisory],
    dump: str,
    policy: Screen,
) -> Judged:
    """What becomes of a version.

    The account has ``files`` (``path``, ``kind``, ``format``, ``size``, ``sha256``, ``note``), ``unlisted`` (how many
    there are besides, by kind) and ``advisories`` (``id``, ``aliases``, ``summary``, ``fixed``), each with why it is
    ``accepted``, or an empty text where the policy lets it be without; and ``dump_sha256`` of the dump that was asked.

    Args:
        name: The package, normalised.
        version: Upstream's.
        parts: Its source, then its patches.
        advisories: Those that it is affected by.
        dump: The digest of the dump that says so, or empty where none was asked.
        policy: The workspace's.
    """
    exempts = [each for each in policy.exceptions if each.package == name]
    files: list[dict[str, Any]] = []
    unlisted: dict[Kind, int] = {}
    items: list[_Item] = []
    for part in parts:
        whole = part.accepted or _reason(exempts, {part.sha256})
        for found in part.findings.files:
            accepted = whole or _reason(exempts, {found.sha256})
            files.append({**asdict(found), "accepted": accepted})
            item = _Item(kind=found.kind, text=_told(found), id=found.sha256, part=part.sha256, accepted=accepted)
            items.append(item)
        for kind, count in part.findings.unlisted.items():
            unlisted[kind] = unlisted.get(kind, 0) + count
            text = f"{count} more in what has sha256 {part.sha256}"
            item = _Item(kind=kind, text=text, id=part.sha256, part=part.sha256, accepted=whole, count=count)
            items.append(item)
    known = []
    for advisory in advisories:
        accepted = next((each.reason for each in exempts if advisory.ids & set(each.advisories)), "")
        known.append({**advisory.as_json, "accepted": accepted})
        items.append(_Item(kind=None, text=_advised(advisory), id=advisory.id, accepted=accepted))
    account = {"files": files, "unlisted": unlisted, "advisories": known, "dump_sha256": dump or None}
    return Judged(account=account, stopped=_stopped(name, version, items, policy))


def is_screening(wanted_by: str) -> bool:
    """Whether it is its own source for which a package waits for review."""
    return wanted_by.startswith(_SCREENING)


def cure(name: str) -> str:
    """What to do about a source that waits for somebody to look at it."""
    return (
        f"see what was found with `pybuild show {name}`; where it is as it should be, say so in pybuild.toml under"
        f" [[screen.exceptions]], with package, sha256 or advisories, and reason"
    )


def allowing(name: str, account: Mapping[str, Any], policy: Screen, *, sha256: str) -> str:
    """What to do about all that holds a source, word for word; empty where nothing does, or does no more.

    Args:
        name: The package, normalised.
        account: As ``judge`` gives it.
        policy: The workspace's.
        sha256: The source's digest.
    """
    exempts = [each for each in policy.exceptions if each.package == name]
    items = [
        _Item(
            kind=file["kind"],
            text=file["path"],
            id=file["sha256"],
            part=sha256,
            accepted=file["accepted"] or _reason(exempts, {file["sha256"], sha256}),
        )
        for file in account["files"]
    ]
    # What is not listed was accepted with the whole, if it was; then all that is listed was, for the same reason.
    stored = {file["accepted"] for file in account["files"]}
    whole = _reason(exempts, {sha256}) or (stored.pop() if len(stored) == 1 else "")
    items += [_Item(kind=kind, text="", id=sha256, part=sha256, accepted=whole) for kind in account["unlisted"]]
    for each in account["advisories"]:
        known = {each["id"], *each["aliases"]}
        accepted = each["accepted"] or next((e.reason for e in exempts if known & set(e.advisories)), "")
        items.append(_Item(kind=None, text="", id=each["id"], accepted=accepted))
    held = [item for item in items if not item.accepted and _policy(item, policy) != "allow"]
    return _cure(name, held) if held else ""


def _reason(exempts: Sequence[Exempt], digests: set[str]) -> str:
    return next((each.reason for each in exempts if digests & set(each.sha256)), "")


def _told(found: Found) -> str:
    return f"{found.path}: {found.format}, sha256 {found.sha256}"


def _advised(advisory: Advisory) -> str:
    aliases = f" ({', '.join(advisory.aliases)})" if advisory.aliases else ""
    mended = f", fixed in {', '.join(advisory.fixed)}" if advisory.fixed else ", not fixed in any version"
    return f"{advisory.id}{aliases}: {advisory.summary or 'no summary'}{mended}"


def _stopped(name: str, version: str, items: Sequence[_Item], policy: Screen) -> PybuildError | None:
    """The error that ends it, or lets it wait; what is refused comes before what waits."""
    refused = [item for item in items if not item.accepted and _policy(item, policy) == "refuse"]
    if refused:
        where = [item.text for item in refused[:_NAMED]]
        where += [f"and {len(refused) - _NAMED} more: pybuild show {name}"] if len(refused) > _NAMED else []
        return ScreeningError(
            f"the source of {name} {version} is refused: it has {_summed(refused)} that nobody has accepted",
            where="\n         ".join(where),
            cure=_cure(name, refused),
        )
    waiting = [item for item in items if not item.accepted and _policy(item, policy) == "review"]
    if not waiting:
        return None
    told = "; ".join([*(item.text for item in waiting[:2]), *(["…"] if len(waiting) > 2 else [])])
    wanted = (name, f"{name}=={version}", f"{_SCREENING}, which has {_summed(waiting)}: {told}")
    return ReviewError(
        f"the source of {name} {version} waits for review: it has {_summed(waiting)}",
        wanted=(wanted,),
        cure=cure(name),
    )


def _policy(item: _Item, policy: Screen) -> Policy:
    return {"compiled": policy.compiled, "archive": policy.archive, None: policy.advisory}[item.kind]


def _cure(name: str, refused: Sequence[_Item]) -> str:
    """What to write where somebody finds that all is well, word for word."""
    digests = {item.id for item in refused if item.kind}
    if len(digests) > _NAMED:
        # So many are hardly looked at one by one.
        digests = {item.part for item in refused if item.kind}
    named = {"sha256": digests, "advisories": {item.id for item in refused if not item.kind}}
    lines = [f"{key} = {json.dumps(sorted(ids), ensure_ascii=False)}" for key, ids in named.items() if ids]
    sentence = "take another version; or look at it, and where it is as it should be, write into pybuild.toml:"
    return "\n       ".join([sentence, "[[screen.exceptions]]", f'package = "{name}"', *lines, 'reason = "…"'])


def _summed(items: Sequence[_Item]) -> str:
    counts: dict[Kind | None, int] = {}
    for item in items:
        counts[item.kind] = counts.get(item.kind, 0) + item.count
    return _counted(counts)


def _counted(counts: Mapping[Any, int]) -> str:
    told = []
    for kind, (one, many) in _WORDS.items():
        if count := counts.get(kind, 0):
            told.append(f"{count} {one if count == 1 else many}")
    return ", ".join(told)
