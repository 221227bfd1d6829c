"""A browser draws the picture of a tree as it is meant: every text lies in its box."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

from pybuilder.tree_svg import tree_svg
from tests.support.planned import LANGCHAIN, expected, guessed

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")

# What the browser measured, as JSON in the page: for each box its rectangle's extent and those of its texts.
MEASURE = """
<script>
const extent = e => { const b = e.getBBox(); return [b.x, b.y, b.x + b.width, b.y + b.height]; };
const measured = [...document.querySelectorAll("svg > g:first-of-type > g.box")].map(
    g => [extent(g.querySelector("rect")), ...[...g.querySelectorAll("text")].map(extent)]);
document.body.textContent = "measured:" + JSON.stringify(measured) + ":measured";
</script>
"""


def test_a_browser_finds_each_text_in_its_box_and_no_two_boxes_overlapping(tmp_path: Path) -> None:
    if BROWSER is None:
        pytest.fail("Chromium is missing: apt-get install chromium, or dnf install chromium")
    page = tmp_path / "page.html"
    page.write_text(f"<body>{tree_svg(LANGCHAIN, expected(LANGCHAIN), guessed(LANGCHAIN))}{MEASURE}</body>")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    done = subprocess.run(
        [BROWSER, *options, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search("measured:(.*):measured", done.stdout)
    assert found, done.stderr
    boxes = json.loads(unescape(found[1]))
    assert len(boxes) == len(LANGCHAIN.nodes)
    for box, *texts in boxes:
        assert len(texts) == 2
        assert all(box[0] < text[0] and text[2] < box[2] and box[1] < text[1] and text[3] < box[3] for text in texts)
    outlines = [box for box, *_ in boxes]
    for index, one in enumerate(outlines):
        assert not any(
            one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
            for other in outlines[index + 1 :]
        )
