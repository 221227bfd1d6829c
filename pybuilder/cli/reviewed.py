"""How ``pybuild review`` says what it knows: as JSON, and as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from packaging.utils import parse_wheel_filename

from pybuilder.cli.taking import prepared_lines
from pybuilder.dossier import Dossier, Needed, Release, Standing
from pybuilder.printable import printable
from pybuilder.review_queue import Waiting
from pybuilder.screening.account import found_lines

_NAMED = 8  # releases, and other long lists, are told so far
_WORDS: dict[Standing, str] = {
    "accepted": "accepted",
    "rejected": "rejected",
    "waiting": "waits for review",
    "new": "new as well",
}


def queue_lines(entries: Sequence[Waiting], now: datetime) -> list[str]:
    """The queue, the oldest first: each package with who wants it, and since when."""
    lines: list[str] = []
    for name in dict.fromkeys(entry.name for entry in entries):
        lines.append(name)
        lines += [f"  {_wish(entry, now)}" for entry in entries if entry.name == name]
    return [printable(line) for line in lines]


def dossier_lines(found: Dossier, now: datetime) -> list[str]:
    """All that is known of a package, in the order in which a person asks."""
    lines = [f"{found.name}: {_about(found)}", *_wanted(found, now), *_alike(found), *_upstream(found, now)]
    lines += [*_form(found), *_needs(found.needs), *_screening(found), *_update(found)]
    told = (*found.findings.notes, *found.findings.guess.notes) if found.findings else ()
    lines += [f"look: {' '.join(note.split())}" for note in (*found.notes, *told)]
    return [printable(line) for line in [*lines, *_cure(found)]]


def dossier_json(found: Dossier) -> dict[str, Any]:
    """The same for programs; what could not be found out is null, and a note says why."""
    summary, licence, urls, python = _stated(found)
    upstream, findings = found.upstream, found.findings
    sdist = upstream.sdist if upstream else None
    return {
        "name": found.name,
        "standing": found.standing,
        "review": [entry.as_json for entry in found.waiting],
        "rejected": found.rejection.as_json if found.rejection else None,
        "why": list(found.why),
        "near": [{"name": each.name, "how": each.how, "standing": each.standing} for each in found.alike],
        "version": str(upstream.version) if upstream and upstream.version else None,
        "summary": summary,
        "licence": licence,
        "project_urls": urls,
        "requires_python": python,
        "status": upstream.status if upstream else "",
        "releases": [_release_json(each) for each in upstream.releases] if upstream else None,
        "first_release": _stamp(_first(upstream.releases)) if upstream else None,
        "sdist": {"file": sdist.filename, "size": sdist.size} if sdist else None,
        "unpacked": findings.unpacked if findings else None,
        "wheels": list(upstream.wheels) if upstream else None,
        "compiled": _compiled(found),
        "guessed": dict(findings.guess.why) if findings else None,
        "requires": [
            {"requirement": each.requirement, "needed_to": each.needed_to, "standing": each.standing}
            for each in found.needs
        ],
        "screening": dict(found.screened) if found.screened else None,
        "stopped": found.stopped or None,
        "allowing": found.allowing or None,
        "update": found.prepared.as_json if found.prepared else None,
        "notes": list(found.notes),
    }


def _wish(entry: Waiting, now: datetime) -> str:
    since = f"since {entry.first_seen[:10]}, {_age(datetime.fromisoformat(entry.first_seen), now)}"
    if entry.is_update:
        return f"{entry.requirement}, a new version, {since}"
    return f"{entry.requirement}, wanted by {entry.wanted_by}, {since}"


def _stated(found: Dossier) -> tuple[str, str, dict[str, str], str]:
    """Summary, licence, links and Pythons, as the source states them, else a wheel."""
    for stated in (found.findings, found.about):
        if stated and (stated.summary or stated.licence or stated.project_urls):
            return stated.summary, stated.licence, dict(stated.project_urls), stated.requires_python
    return "", "", {}, ""


def _about(found: Dossier) -> str:
    summary = _stated(found)[0] or "upstream's summary is not known"
    version = found.upstream and found.upstream.version
    return f"{summary}" + (f" (looked at: {version})" if version else "")


def _wanted(found: Dossier, now: datetime) -> Iterator[str]:
    if found.rejection:
        yield found.rejection.sentence
    yield from (_wish(entry, now) for entry in found.waiting)
    if found.standing == "accepted" and not found.waiting:
        yield "it has a spec, and nothing of it waits"
    yield from (f"  in the last plan: {line}" for line in found.why)


def _alike(found: Dossier) -> Iterator[str]:
    for each in found.alike:
        standing = "accepted" if each.standing == "accepted" else "in the queue"
        yield f"LOOK CLOSELY: its name is near to {each.name}, which is {standing}: {each.how}"


def _upstream(found: Dossier, now: datetime) -> Iterator[str]:
    _, licence, urls, python = _stated(found)
    yield f"licence: {licence or 'not stated'}" + (f"; for Python {python}" if python else "")
    yield from (f"link: {label}: {url}" for label, url in urls.items())
    upstream = found.upstream
    if upstream is None:
        return
    if upstream.status:
        yield f"LOOK CLOSELY: upstream says of the project that it is {upstream.status}"
    first = _first(upstream.releases)
    began = f", the first on {first:%Y-%m-%d}, {_age(first, now)}" if first else ""
    yield f"releases: {len(upstream.releases)}{began}"
    yield from (f"  {_release(each)}" for each in upstream.releases[:_NAMED])
    if len(upstream.releases) > _NAMED:
        yield f"  and {len(upstream.releases) - _NAMED} older"


def _release(each: Release) -> str:
    on = f"{each.released:%Y-%m-%d}" if each.released else "no date"
    has = ("source" if each.sdist else "no source") + (f", {each.wheels} wheels" if each.wheels else "")
    yanked = "" if each.yanked is None else f"  YANKED{f': {each.yanked}' if each.yanked else ''}"
    return f"{on:10}  {each.version!s:16} {has}{yanked}"


def _first(releases: Sequence[Release]) -> datetime | None:
    return min((each.released for each in releases if each.released), default=None)


def _form(found: Dossier) -> Iterator[str]:
    upstream, findings = found.upstream, found.findings
    if upstream and upstream.sdist:
        size = f"{_size(upstream.sdist.size)}" if upstream.sdist.size is not None else "of unknown size"
        unpacked = f", unpacked {_size(findings.unpacked)}" if findings else ""
        yield f"source: {upstream.sdist.filename}, {size}{unpacked}"
    elif upstream and upstream.version:
        yield f"source: upstream has none of {upstream.version}, only wheels; it can't be built from an sdist"
    if findings:
        reasons = "; ".join(f"{rpm}: {reason}" for rpm, reason in sorted(findings.guess.why.items()))
        yield f"built from source it is {f'compiled ({reasons})' if findings.guess.build else 'pure Python'}"
    if upstream and upstream.wheels:
        kinds = sorted({_kind(name) for name in upstream.wheels})
        more = f" and {len(kinds) - _NAMED} more" if len(kinds) > _NAMED else ""
        yield f"upstream's wheels: {len(upstream.wheels)}, for {', '.join(kinds[:_NAMED])}{more}"


def _kind(wheel: str) -> str:
    """What a wheel is for: its platform, and where that is any, its ABI."""
    tags = sorted(parse_wheel_filename(wheel)[3], key=str)
    return " ".join(dict.fromkeys(f"{tag.abi}-{tag.platform}" for tag in tags))


def _compiled(found: Dossier) -> bool | None:
    """Whether it has compiled code: by its source, else by its wheels."""
    if found.findings:
        return bool(found.findings.guess.build)
    wheels = found.upstream.wheels if found.upstream else ()
    return not any(_kind(name) == "none-any" for name in wheels) if wheels else None


def _needs(needs: Sequence[Needed]) -> Iterator[str]:
    for each in needs:
        yield f"needs {each.requirement} to {each.needed_to}: {_WORDS[each.standing]}"


def _screening(found: Dossier) -> Iterator[str]:
    if found.screened is None:
        return
    lines = list(found_lines(found.screened))
    yield from (f"found: {line}" for line in lines)
    if not lines:
        yield "screening found nothing"
    if found.screened["dump_sha256"] is None:
        yield "advisories were not looked up: no dump is configured ([screen] advisories)"
    yield from filter(None, (found.stopped, *(f"do: {found.allowing}" if found.allowing else "").splitlines()))


def _update(found: Dossier) -> Iterator[str]:
    if found.prepared is None:
        return
    head = f"in place of {found.prepared.old}" if found.prepared.old else "the first that is pinned"
    lines = list(prepared_lines(found.prepared))
    yield head + (":" if lines else "" if found.prepared.review else "; nothing else changes")
    yield from (f"  {line}" for line in lines)
    if found.prepared.review:
        yield f"it can't be taken in as it is: {found.prepared.review}"


def _cure(found: Dossier) -> Iterator[str]:
    if not found.allowing and any(entry.is_screening for entry in found.waiting):
        yield f"do: nothing holds its source any more; the queue lets go of it with: pybuild build {found.name}"
    if found.waiting and any(not entry.is_screening for entry in found.waiting):
        yield f"do: pybuild review approve {found.name}, or: pybuild review reject {found.name} --reason TEXT"
    elif found.standing == "rejected":
        yield f"do: to take it in after all: pybuild review approve {found.name}"


def _release_json(each: Release) -> dict[str, Any]:
    return {
        "version": str(each.version),
        "released": _stamp(each.released),
        "yanked": each.yanked,
        "sdist": each.sdist,
        "wheels": each.wheels,
    }


def _stamp(moment: datetime | None) -> str | None:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else None


def _age(since: datetime, now: datetime) -> str:
    """How long ago, as people say it."""
    days = (now - since).days
    if days < 1:
        return "today"
    if days < 60:
        return f"{days} day{'s' * (days > 1)} ago"
    return f"{days // 30} months ago" if days < 730 else f"{days // 365} years ago"


def _size(size: int) -> str:
    """Bytes as people say them."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"
