"""The report of a pass as a mail in plain text: headers, a blank line, the text; what sends mail takes it as it is."""

from __future__ import annotations

from collections.abc import Iterator

from pybuilder.pass_report import Entry, Report, Section

_HEADERS = "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"


def report_text(report: Report) -> str:
    """The mail, subject first; it names no one to send it to."""
    return "\n".join([f"Subject: {_header(report.subject)}\n{_HEADERS}", *_lines(report), ""])


def _header(subject: str) -> str:
    """A subject as mail headers have it (RFC 2047)."""
    if subject.isascii():
        return subject
    from email.header import Header

    return Header(subject, "utf-8", maxlinelen=1000).encode()


def _lines(report: Report) -> Iterator[str]:
    widest = max(len(label) for label, _ in report.facts)
    yield from (f"{label:{widest}}  {text}" for label, text in report.facts)
    for section in report.sections:
        yield from _section(section)


def _section(section: Section) -> Iterator[str]:
    title = f"{section.title} ({section.count})"
    yield from ("", title, "-" * len(title))
    for entry in section.entries:
        yield from _entry(entry)
    if left := section.count - len(section.entries):
        yield f"* … and {left} more"


def _entry(entry: Entry) -> Iterator[str]:
    yield f"* {entry.what}{' (new)' if entry.new else ''}"
    yield from (f"  | {line}" for line in entry.more)
    if entry.facts:
        yield "    " + ", ".join(f"{label} {text}" for label, text in entry.facts)
    yield from (f"    {label}: {text}" for label, text in entry.notes)
