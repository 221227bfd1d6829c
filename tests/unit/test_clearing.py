"""Whichever engine had made a sandbox, what is left of it goes."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pybuilder.cli import rpm_ground
from pybuilder.cli.clearing import clear_left
from pybuilder.errors import EngineError
from pybuilder.facts import Facts
from pybuilder.layout import Layout
from pybuilder.sandbox import host

FACTS = cast(Facts, None)


@pytest.fixture
def cleared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which engines were asked."""
    asked: list[str] = []
    engine = SimpleNamespace(clear=lambda work: asked.append("podman"))
    monkeypatch.setattr(host, "clear", lambda work: asked.append("host"))
    monkeypatch.setattr(rpm_ground, "open_podman", lambda *arguments: nullcontext(engine))
    return asked


@pytest.mark.parametrize(("roots", "asked"), [(False, ["host"]), (True, ["host", "podman"])])
def test_podman_is_asked_where_there_are_roots(
    tmp_path: Path, cleared: list[str], roots: bool, asked: list[str]
) -> None:
    layout = Layout(root=tmp_path)
    if roots:
        layout.roots.mkdir(parents=True)
    clear_left(layout, FACTS, tmp_path / "work")
    assert cleared == asked


def test_a_podman_that_is_gone_is_in_nobody_s_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise EngineError("the program 'podman' is missing")

    layout = Layout(root=tmp_path)
    layout.roots.mkdir(parents=True)
    monkeypatch.setattr(rpm_ground, "open_podman", lambda *arguments: nullcontext(SimpleNamespace(clear=refuse)))
    clear_left(layout, FACTS, tmp_path / "work")
