"""A planned tree as an SVG picture that needs no other program to draw it, for light and for dark pages.

The same tree gives the same text. Letters are of one width each, so that what fits is known without the font.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from pybuilder.tree import Node, Package, Status, Tree
from pybuilder.tree_layout import Arrow, Box, Stroke, arrange
from pybuilder.tree_text import duration, shown
from pybuilder.tree_walk import Line, lines

# Widths of a letter in pixels: 0.602 of the font's size in every common monospaced font, and a little more.
_LARGE = 13 * 0.61
_SMALL = 11 * 0.61
_PADDING = 10.0
_MARGIN = 24.0
# Where the picture begins, below the heading.
_TOP = 64.0
_NARROWEST = 640.0
# Letters; what is longer is cut, and whole in the tooltip.
_LONGEST = 32
# Lines of a tooltip.
_NAMED = 12

_STYLE = """
text { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 11px; fill: #1f2328; }
.page { fill: #ffffff; }
.heading { font-size: 15px; font-weight: bold; }
.name { font-size: 13px; }
.installed .name { font-weight: bold; }
.box rect { stroke-width: 1.6; }
.builds rect { stroke-dasharray: 4 3; stroke-width: 1.2; }
.top rect { stroke-width: 3; }
.cached rect { fill: #dafbe1; stroke: #1a7f37; }
.new rect { fill: #ddf4ff; stroke: #0969da; }
.depends rect { fill: #fff8c5; stroke: #9a6700; }
.waits rect { fill: #ffebe9; stroke: #cf222e; }
.plain rect { fill: none; stroke: #57606a; }
path { fill: none; stroke-width: 1.4; }
.install path { stroke: #57606a; }
.build path { stroke: #8250df; stroke-dasharray: 5 4; opacity: 0.75; }
.circle path { stroke: #cf222e; }
g path.near { stroke: transparent; stroke-width: 9; stroke-dasharray: none; }
g:hover > path.near { stroke: #0969da; opacity: 0.35; }
.install path.head { fill: #57606a; stroke: none; }
.build path.head { fill: #8250df; stroke: none; }
.circle path.head { fill: #cf222e; stroke: none; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.page { fill: #0d1117; }
.cached rect { fill: #12261e; stroke: #3fb950; }
.new rect { fill: #0d2238; stroke: #58a6ff; }
.depends rect { fill: #2b2111; stroke: #d29922; }
.waits rect { fill: #341a1c; stroke: #f85149; }
.plain rect { stroke: #9198a1; }
.install path { stroke: #9198a1; }
.build path { stroke: #a371f7; }
.circle path { stroke: #f85149; }
.install path.head { fill: #9198a1; }
.build path.head { fill: #a371f7; }
.circle path.head { fill: #f85149; }
}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Label:
    """What is written in a box."""

    name: str
    facts: str

    @property
    def width(self) -> float:
        return max(len(self.name) * _LARGE, len(self.facts) * _SMALL) + 2 * _PADDING


def tree_svg(tree: Tree, statuses: Mapping[Package, Status], estimates: Mapping[Package, float]) -> str:
    """The picture.

    Args:
        tree: The tree.
        statuses: What is expected of each package.
        estimates: Seconds that a package will take; packages may be missing.
    """
    nodes = list(tree)
    drawn = lines(tree)
    index = {node.package: position for position, node in enumerate(nodes)}
    labels = [_label(node, statuses[node.package], estimates.get(node.package)) for node in nodes]
    arrows = [Arrow(start=index[each.by], end=index[each.to], channel=int(each.kind == "build")) for each in drawn]
    layout = arrange([label.width for label in labels], arrows)
    width = max(layout.width, _NARROWEST)
    tops = {top.package for top in tree.tops}
    kinds = {_kind(stroke) for stroke in layout.strokes}
    roles = {_role(tree, tops, node) for node in nodes}
    key, key_height = _legend(_key(list(statuses.values()), roles, kinds), width)
    bottom = _TOP + layout.height + _MARGIN
    parts = [
        *_opening(tree, width + 2 * _MARGIN, bottom + key_height + _MARGIN),
        f'<g transform="translate({_number(_MARGIN)} {_number(_TOP)})">',
        *(_stroke(stroke, drawn) for stroke in layout.strokes),
        *(
            _box(node, label, box, statuses[node.package], _role(tree, tops, node))
            for node, label, box in zip(nodes, labels, layout.boxes, strict=True)
        ),
        "</g>",
        f'<g transform="translate({_number(_MARGIN)} {_number(bottom)})">',
        *key,
        "</g>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _opening(tree: Tree, width: float, height: float) -> Iterator[str]:
    asked = ", ".join(top.requirement for top in tree.tops)
    size = f'width="{_number(width)}" height="{_number(height)}" viewBox="0 0 {_number(width)} {_number(height)}"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    yield f"<title>{_xml(f'What {asked} needs')}</title>"
    yield f"<style>{_STYLE}</style>"
    yield f'<rect class="page" width="{_number(width)}" height="{_number(height)}"/>'
    heading = _cut(asked, int((width - 2 * _MARGIN) / (15 * 0.61)))
    yield f'<text class="heading" x="{_number(_MARGIN)}" y="30">{_xml(heading)}</text>'
    facts = f"{len(tree.nodes)} packages for {tree.target}, Python {tree.python}"
    yield f'<text x="{_number(_MARGIN)}" y="48">{_xml(_cut(facts, int((width - 2 * _MARGIN) / _SMALL)))}</text>'


def _label(node: Node, status: Status, seconds: float | None) -> _Label:
    facts = [_cut(str(node.version), _LONGEST), status]
    if seconds is not None and status != "cached":
        facts.append(duration(seconds))
    return _Label(name=_cut(node.name, _LONGEST), facts=" · ".join(facts))


def _role(tree: Tree, tops: set[Package], node: Node) -> str:
    if node.package in tops:
        return "installed top"
    return "installed" if node.package in tree.installed else "builds"


def _box(node: Node, label: _Label, box: Box, status: Status, role: str) -> str:
    x, y = box.x + _PADDING, box.y
    return (
        f'<g class="box {status} {role}"><title>{_xml(_about(node, status, role))}</title>{_rectangle(box)}'
        f'<text class="name" x="{_number(x)}" y="{_number(y + 17)}">{_xml(label.name)}</text>'
        f'<text x="{_number(x)}" y="{_number(y + 32)}">{_xml(label.facts)}</text></g>'
    )


def _rectangle(box: Box) -> str:
    place = f'x="{_number(box.x)}" y="{_number(box.y)}" width="{_number(box.width)}" height="{_number(box.height)}"'
    return f'<rect {place} rx="6"/>'


def _about(node: Node, status: Status, role: str) -> str:
    """The tooltip of a box."""
    how = "only needed to build" if role == "builds" else "installed"
    return "\n".join(
        [
            f"{shown(node.package)}: {how}, {status}",
            *(["upstream's wheel"] if node.prebuilt else []),
            *(f"installs {need.requirement}" for need in node.installs),
            *(f"builds with {need.requirement}" for need in node.builds),
        ]
    )


def _stroke(stroke: Stroke, drawn: Sequence[Line]) -> str:
    curve = _path(stroke.points)
    return (
        f'<g class="{_kind(stroke)}"><title>{_xml(_stated([drawn[arrow] for arrow in stroke.arrows]))}</title>'
        f'<path class="near" d="{curve}"/><path d="{curve}"/>{_head(stroke)}</g>'
    )


def _kind(stroke: Stroke) -> str:
    return "circle" if stroke.turned else ("install", "build")[stroke.channel]


def _stated(needs: Sequence[Line]) -> str:
    """The tooltip of a line: the requirements behind it."""
    verb = {"install": "installs", "build": "builds with"}
    stated = [f"{shown(each.by)} {verb[each.kind]} {text}" for each in needs for text in each.requirements]
    more = [f"and {len(stated) - _NAMED} more"] if len(stated) > _NAMED else []
    return "\n".join([*stated[:_NAMED], *more])


def _path(points: Sequence[tuple[float, float]]) -> str:
    *level, (x, y), (to_x, to_y) = points
    begin = "".join(f"{_number(each_x)} {_number(each_y)}L" for each_x, each_y in level)
    middle = _number((x + to_x) / 2)
    curve = f"C{middle} {_number(y)} {middle} {_number(to_y)} {_number(to_x)} {_number(to_y)}"
    return f"M{begin}{_number(x)} {_number(y)}{curve}"


def _head(stroke: Stroke) -> str:
    """The arrow's head, at the box that is needed: the right end, or the left one of an arrow that is turned."""
    if not (stroke.first if stroke.turned else stroke.last):
        return ""
    x, y = stroke.points[0] if stroke.turned else stroke.points[-1]
    back = x + 8 if stroke.turned else x - 8
    shape = f"M{_number(x)} {_number(y)}L{_number(back)} {_number(y - 4)}V{_number(y + 4)}Z"
    return f'<path class="head" d="{shape}"/>'


_STATUSES: Mapping[Status, str] = {
    "cached": "cached",
    "new": "new: will be built",
    "depends": "depends on what is not built yet",
    "waits": "waits for review",
}
_ROLES = {"installed top": "asked for", "installed": "installed", "builds": "only needed to build"}
_KINDS = {
    "install": "needed where it is installed",
    "build": "needed to build, unless other lines lead there too",
    "circle": "needed where it is installed, and closes a circle",
}


def _key(statuses: Sequence[Status], roles: set[str], kinds: set[str]) -> Iterator[tuple[str, str]]:
    """A sample and its meaning, of each colour and line that the picture has."""
    for status, meaning in _STATUSES.items():
        if count := statuses.count(status):
            yield _swatch(f"box {status}"), f"{meaning} ({count})"
    yield from ((_swatch(f"box plain {role}"), meaning) for role, meaning in _ROLES.items() if role in roles)
    yield from ((_sample(kind), meaning) for kind, meaning in _KINDS.items() if kind in kinds)


def _legend(key: Iterable[tuple[str, str]], width: float) -> tuple[list[str], float]:
    """The key in as many rows as the width asks for, and the height of that."""
    parts, x, y = [], 0.0, 0.0
    for sample, meaning in key:
        long = 32 + len(meaning) * _SMALL
        if x and x + long > width:
            x, y = 0.0, y + 22
        place = f"translate({_number(x)} {_number(y)})"
        parts.append(f'<g transform="{place}">{sample}<text x="32" y="11">{_xml(meaning)}</text></g>')
        x += long + 20
    return parts, y + 16


def _swatch(classes: str) -> str:
    return f'<g class="{classes}"><rect x="1" y="1" width="24" height="13" rx="3"/></g>'


def _sample(kind: str) -> str:
    return f'<g class="{kind}"><path d="M0 8L22 8"/><path class="head" d="M26 8L18 4V12Z"/></g>'


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _number(value: float) -> str:
    """A length with one digit after the point, none where it is 0."""
    return f"{value:.1f}".removesuffix(".0")


def _xml(text: str) -> str:
    """A text for XML, with a mark in place of what XML 1.0 has no way to write ("Char")."""
    return escape(re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text))
