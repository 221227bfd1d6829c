"""A workspace of which nothing is written before it has been published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from pybuilder.processes import Completed
from pybuilder.spec import Pin, parse_spec
from pybuilder.workspace import init
from pybuilder.workspace.held import Held

PIN = Pin(file="six-1.0.tar.gz", sha256="ab" * 32)
ONE = Version("1.0")


def clean(argv: Sequence[str], **_: Any) -> Completed:
    """A git that finds a commit, and nothing changed."""
    return Completed(returncode=0, stdout=b"cafe\n" if "rev-parse" in argv else b"", stderr=b"")


@pytest.fixture
def held(tmp_path: Path) -> Held:
    init(tmp_path)
    (tmp_path / "specs" / "six.toml").write_text('name = "six"\n')
    return Held(root=tmp_path, run=clean, accept_new=True)


def test_a_run_writes_nothing_and_its_pins_are_kept(held: Held) -> None:
    held.draft("seven", 'name = "seven"\n')
    held.write_pin("six", ONE, PIN)
    assert held.settle([("six", ONE), ("seven", ONE)]) == ()
    assert held.spec_path("six").read_text() == 'name = "six"\n' and not held.spec_path("seven").exists()
    assert held.noted("six", ONE) == PIN


@pytest.mark.parametrize(("beside", "state"), [((), "clean"), (("seven",), "dirty")])
def test_no_commit_has_a_spec_that_is_not_written(held: Held, beside: tuple[str, ...], state: str) -> None:
    held.draft("seven", 'name = "seven"\n')
    spec = parse_spec('name = "six"\n', "specs/six.toml").effective(version=ONE, buildroot="host", python="3.12")
    found = held.revision("six", ONE, spec, patches=[], beside=beside, buildroot="host")
    assert (found.commit, found.state) == ("cafe", state)
