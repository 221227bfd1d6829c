"""What a report of a pass tells, whatever it is written in: a subject, a few facts, and sections of entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pybuilder.passes import Awaited, Built, Pass, Problem, Updated
from pybuilder.printable import printable
from pybuilder.tree_text import duration

MOST = 200
"""Entries of a section; a mail with all of them would be read by nobody."""
_LINES = 8
_LONGEST = 500

Tone = Literal["bad", "ask", "good", "plain"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One thing.

    Attributes:
        what: The thing, in a line.
        more: Further lines of the same.
        facts: Short facts, ``(label, text)``.
        notes: Long ones, each worth a line of its own.
        new: Whether this pass is the first to tell it, where its section does not say so.
    """

    what: str
    more: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    notes: Sequence[tuple[str, str]] = ()
    new: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Things of one kind.

    Attributes:
        title: Names the kind.
        tone: How glad one is of them.
        entries: The first of them, at most ``MOST``.
        count: How many there are.
    """

    title: str
    tone: Tone
    entries: Sequence[Entry]
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All of it; every text is fit to be printed, but not escaped.

    Attributes:
        subject: In a line.
        tone: How the pass went.
        facts: About the pass, ``(label, text)``.
        sections: Those that are not empty, the most urgent first.
    """

    subject: str
    tone: Tone
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]


def report(pass_: Pass) -> Report:
    """The report of a pass."""
    return Report(subject=_subject(pass_), tone=_tone(pass_), facts=_facts(pass_), sections=tuple(_sections(pass_)))


def _subject(pass_: Pass) -> str:
    new = sum(problem.new for problem in pass_.problems)
    waits = sum(each.new for each in pass_.review)
    parts = [
        "failed" if pass_.outcome == "failed" else "",
        _many(new, "new problem"),
        _many(waits, "new review"),
        _many(len(pass_.updated), "update"),
        _many(len(pass_.built), "build"),
        _many(len(pass_.yanked), "yank"),
    ]
    told = ", ".join(part for part in parts if part) or "nothing new"
    return printable(f"pybuild {pass_.workspace} ({pass_.channel}): {told}")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}" if count else ""


def _tone(pass_: Pass) -> Tone:
    if pass_.outcome == "failed" or any(problem.new for problem in pass_.problems):
        return "bad"
    return "ask" if any(each.new for each in pass_.review) else "good"


def _facts(pass_: Pass) -> tuple[tuple[str, str], ...]:
    phases = ", ".join(f"{phase} {duration(seconds)}" for phase, seconds in pass_.phases.items())
    took = duration(pass_.seconds) + (f" ({phases})" if phases else "")
    facts = [
        ("pass", pass_.run),
        ("began", moment(pass_.began)),
        ("took", took),
        ("as they should be", _many(pass_.cached, "package")),
        ("left for later", _many(pass_.postponed, "stale package")),
    ]
    return tuple((label, printable(text)) for label, text in facts if text)


def _sections(pass_: Pass) -> Iterator[Section]:
    new = [problem for problem in pass_.problems if problem.new]
    known = [problem for problem in pass_.problems if not problem.new]
    waiting = sorted(pass_.review, key=lambda each: not each.new)
    yield from _section("New problems", "bad", [_problem(each) for each in new])
    yield from _section("Waiting for you", "ask", [_awaited(each) for each in waiting])
    yield from _section("Updated", "good", [_updated(each) for each in pass_.updated])
    yield from _section("Built", "good", [_built(each) for each in pass_.built])
    yanked = [Entry(what=_line(build), notes=_known(reason=reason)) for build, reason in pass_.yanked]
    yield from _section("Yanked, as upstream did", "plain", yanked)
    yield from _section("Problems told before", "plain", [_problem(each) for each in known])


def _section(title: str, tone: Tone, entries: Sequence[Entry]) -> Iterator[Section]:
    if entries:
        yield Section(title=title, tone=tone, entries=entries[:MOST], count=len(entries))


def _problem(problem: Problem) -> Entry:
    first, *more = problem.what.splitlines()[:_LINES] or [""]
    about = f"{problem.subject} ({problem.phase})" if problem.phase else problem.subject
    since = "" if problem.new else moment(problem.first_seen)
    return Entry(
        what=_line(f"{about or problem.kind}: {first}"),
        more=[_cut(printable(line.rstrip().expandtabs())) for line in more],
        facts=_known(since=since),
        notes=_known(where=problem.where, do=problem.cure),
    )


def _awaited(awaited: Awaited) -> Entry:
    wanted = awaited.requirement if awaited.requirement.startswith(awaited.name) else awaited.name
    facts = _known(**{"wanted by": awaited.wanted_by, "since": moment(awaited.first_seen)})
    return Entry(what=_line(wanted), facts=facts, new=awaited.new)


def _updated(updated: Updated) -> Entry:
    old = f"{updated.old} \N{RIGHTWARDS ARROW} " if updated.old else ""
    facts = _known(**{"needed by": _many(updated.needed_by, "package"), "commit": updated.commit[:12]})
    return Entry(what=_line(f"{updated.name} {old}{updated.new}"), facts=facts)


def _built(built: Built) -> Entry:
    took = duration(built.seconds) if built.seconds else ""
    return Entry(what=_line(built.build), facts=_known(why=built.why, took=took))


def _known(**facts: str) -> tuple[tuple[str, str], ...]:
    return tuple((label, _line(text)) for label, text in facts.items() if text)


def _line(text: str) -> str:
    return _cut(printable(" ".join(text.split())))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def moment(when: datetime) -> str:
    """A time as the report tells it: to the minute, in UTC."""
    return f"{when:%Y-%m-%d %H:%M} UTC"
