"""The report of a pass as one HTML file for mail programs: tables and inline styles, since they drop style sheets."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from pybuilder.pass_report import Entry, Report, Section, Tone

# Dark enough on white to be read (WCAG 2.1, 1.4.3), and told by words as well.
_COLOURS: dict[Tone, str] = {"bad": "#a4161a", "ask": "#8a5a00", "good": "#1b6e3c", "plain": "#4a5560"}
_FONT = "font-family:-apple-system,'Segoe UI',Roboto,'Liberation Sans',Arial,sans-serif"
_MONO = "font-family:ui-monospace,'Liberation Mono',Menlo,Consolas,monospace"


def report_html(report: Report) -> str:
    """The file; its title is the report's subject."""
    subject = escape(report.subject)
    body = "\n".join(_body(report))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<title>{subject}</title>
</head>
<body style="margin:0;padding:0;background:#eef1f4">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="background:#eef1f4">
<tr><td align="center" style="padding:16px 8px">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="{_CARD}">
<tr><td style="padding:20px 24px 24px">
{body}
</td></tr>
</table>
</td></tr>
</table>
</body>
</html>
"""


_CARD = f"max-width:720px;background:#ffffff;border:1px solid #d5dbe1;border-radius:6px;{_FONT};color:#1c2126"


def _body(report: Report) -> Iterator[str]:
    style = f"margin:0 0 12px;font-size:20px;line-height:1.3;color:{_COLOURS[report.tone]};overflow-wrap:anywhere"
    yield f'<h1 style="{style}">{escape(report.subject)}</h1>'
    yield '<table role="presentation" cellpadding="0" cellspacing="0" style="font-size:14px;line-height:1.5">'
    for label, text in report.facts:
        yield f'<tr><td style="{_LABEL}">{escape(label)}</td><td style="{_VALUE}">{escape(text)}</td></tr>'
    yield "</table>"
    for section in report.sections:
        yield from _section(section)


_LABEL = "padding:0 16px 0 0;color:#4a5560;white-space:nowrap;vertical-align:top"
_VALUE = "overflow-wrap:anywhere"


def _section(section: Section) -> Iterator[str]:
    colour = _COLOURS[section.tone]
    style = f"margin:24px 0 8px;padding:0 0 4px;font-size:16px;color:{colour};border-bottom:2px solid {colour}"
    yield f'<h2 style="{style}">{escape(section.title)} ({section.count})</h2>'
    for entry in section.entries:
        yield from _entry(entry, colour)
    if left := section.count - len(section.entries):
        yield f'<p style="margin:8px 0 0;font-size:14px;color:#4a5560">… and {left} more</p>'


def _entry(entry: Entry, colour: str) -> Iterator[str]:
    yield '<div style="margin:10px 0 0;font-size:14px;line-height:1.45;overflow-wrap:anywhere">'
    badge = f' <span style="{_BADGE};background:{colour}">new</span>' if entry.new else ""
    yield f"<b>{escape(entry.what)}</b>{badge}"
    if entry.more:
        yield f'<pre style="{_PRE}">{escape(chr(10).join(entry.more))}</pre>'
    if entry.facts:
        yield f"<div>{', '.join(_fact(label, text) for label, text in entry.facts)}</div>"
    yield from (f"<div>{_fact(label, text)}</div>" for label, text in entry.notes)
    yield "</div>"


def _fact(label: str, text: str) -> str:
    return f'<span style="color:#4a5560">{escape(label)}</span> {escape(text)}'


_BADGE = "padding:0 6px;border-radius:8px;font-size:11px;line-height:16px;color:#ffffff"
_PRE = f"margin:4px 0;padding:8px;background:#f4f6f8;{_MONO};font-size:12px;white-space:pre-wrap;overflow-wrap:anywhere"
