"""What a plan would add to a workspace, and that nothing is written before it is settled."""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from pybuilder.errors import ConfigError, EngineError, FetchError, StateError, UsageError
from pybuilder.processes import Completed
from pybuilder.spec import Pin
from pybuilder.workspace import Workspace, init
from pybuilder.workspace.drafts import Drafts

PIN = Pin(file="six-1.0.tar.gz", sha256="ab" * 32)
ONE, TWO = Version("1.0"), Version("2.0")
DRAFT = 'name = "six"\n# drafted\n'


def no_git(argv: Sequence[str], **_: Any) -> Completed:
    raise EngineError("no git")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    root = tmp_path / "w"
    init(root)
    return root


def drafts(root: Path, *, accept_new: bool = True) -> Drafts:
    return Drafts(root=root, run=no_git, accept_new=accept_new)


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


class TestBefore:
    def test_every_package_has_a_spec(self, home: Path) -> None:
        (home / "specs" / "seven.toml").write_text('name = "seven"\n[update]\nallow = "<8"\n')
        drafted = drafts(home)
        assert drafted.spec("six").name == "six"
        assert str(drafted.spec("seven").update.allow) == "<8"
        drafted.draft("six", DRAFT + '[update]\nallow = "<2"\n')
        assert str(drafted.spec("six").update.allow) == "<2"

    def test_a_name_that_is_none_is_refused(self, home: Path) -> None:
        with pytest.raises(UsageError):
            drafts(home).spec("../pybuild")

    @pytest.mark.parametrize("accept_new", [True, False])
    def test_what_is_accepted(self, home: Path, accept_new: bool) -> None:
        (home / "specs" / "seven.toml").write_text('name = "seven"\n')
        drafted = drafts(home, accept_new=accept_new)
        assert drafted.accepts("seven")
        assert drafted.accepts("six") is accept_new

    def test_what_somebody_has_rejected_is_not_taken_in(self, home: Path) -> None:
        (home / "specs" / "rejected.toml").write_text("[packages.six]\n[packages.seven]\n")
        (home / "specs" / "seven.toml").write_text('name = "seven"\n')
        drafted = drafts(home, accept_new=True)
        assert not drafted.accepts("six") and not drafted.accepts("rejected")
        assert drafted.accepts("seven") and drafted.accepts("eight")

    def test_who_has_a_spec(self, home: Path) -> None:
        (home / "specs" / "seven.toml").write_text('name = "seven"\n')
        drafted = drafts(home)
        assert drafted.has_spec("seven") and not drafted.has_spec("six")
        drafted.draft("six", DRAFT)
        assert drafted.has_spec("six")

    def test_a_spec_is_read_once(self, home: Path) -> None:
        drafted = drafts(home)
        assert drafted.spec("six") is drafted.spec("six")

    def test_nothing_is_written(self, home: Path) -> None:
        before = files(home)
        drafted = drafts(home)
        drafted.draft("six", DRAFT)
        assert drafted.write_pin("six", ONE, PIN)
        drafted.spec("six")
        assert drafted.settle([]) == ()
        assert files(home) == before

    def test_a_spec_that_is_wrong_is_an_error(self, home: Path) -> None:
        (home / "specs" / "six.toml").write_text("name = 6\n")
        with pytest.raises(ConfigError):
            drafts(home).spec("six")


class TestSettle:
    def test_the_drafts_and_pins_of_what_is_asked_for(self, home: Path) -> None:
        drafted = drafts(home)
        for name in ("six", "seven"):
            drafted.draft(name, DRAFT.replace("six", name))
            drafted.write_pin(name, ONE, PIN)
            drafted.write_pin(name, TWO, PIN)
        before = files(home)
        assert drafted.settle([("six", ONE)]) == ("six",)
        assert files(home).keys() - before.keys() == {"specs/six.toml"}
        spec = Workspace(root=home, run=no_git).spec("six")
        assert spec and spec.versions == {ONE: PIN}
        assert (home / "specs" / "six.toml").read_text().startswith(DRAFT)

    def test_several_versions_of_one_package(self, home: Path) -> None:
        drafted = drafts(home)
        drafted.draft("six", DRAFT)
        drafted.write_pin("six", ONE, PIN)
        drafted.write_pin("six", TWO, PIN)
        assert drafted.settle([("six", ONE), ("six", TWO)]) == ("six",)
        spec = Workspace(root=home, run=no_git).spec("six")
        assert spec and set(spec.versions) == {ONE, TWO}

    def test_a_package_that_has_a_spec_keeps_it(self, home: Path) -> None:
        path = home / "specs" / "six.toml"
        path.write_text('name = "six"\n# mine\n')
        drafted = drafts(home)
        drafted.draft("six", DRAFT)
        drafted.write_pin("six", ONE, PIN)
        assert drafted.settle([("six", ONE)]) == ()
        text = path.read_text()
        assert "# mine" in text and "# drafted" not in text and '"1.0"' in text

    def test_one_that_is_neither_accepted_nor_drafted_is_left_out(self, home: Path) -> None:
        before = files(home)
        drafted = drafts(home, accept_new=False)
        drafted.write_pin("six", ONE, PIN)
        assert drafted.settle([("six", ONE)]) == ()
        assert files(home) == before

    def test_it_can_be_settled_again_with_more(self, home: Path) -> None:
        drafted = drafts(home)
        drafted.draft("six", DRAFT)
        drafted.write_pin("six", ONE, PIN)
        drafted.settle([("six", ONE)])
        text = (home / "specs" / "six.toml").read_text()
        assert drafted.settle([("six", ONE)]) == ()
        assert (home / "specs" / "six.toml").read_text() == text
        drafted.draft("seven", DRAFT.replace("six", "seven"))
        assert drafted.settle([("six", ONE), ("seven", ONE)]) == ("seven",)

    def test_two_runs_that_drafted_the_same(self, home: Path) -> None:
        """The first to settle writes the spec, and the other adds its pins."""
        first, second = drafts(home), drafts(home)
        for number, (drafted, version) in enumerate(((first, ONE), (second, TWO))):
            drafted.draft("six", f"{DRAFT}# by {number}\n")
            drafted.write_pin("six", version, PIN)
        assert first.settle([("six", ONE)]) == ("six",)
        assert second.settle([("six", TWO)]) == ()
        text = (home / "specs" / "six.toml").read_text()
        assert "# by 0" in text and "# by 1" not in text
        spec = Workspace(root=home, run=no_git).spec("six")
        assert spec and set(spec.versions) == {ONE, TWO}

    def test_two_runs_that_settle_at_once(self, home: Path) -> None:
        """No draft replaces a spec that came meanwhile, with its pins."""
        names = [f"p{n}" for n in range(10)]
        start = threading.Barrier(2)

        def settle(version: Version) -> tuple[str, ...]:
            drafted = drafts(home)
            for name in names:
                drafted.draft(name, DRAFT.replace("six", name))
                drafted.write_pin(name, version, PIN)
            start.wait(10)
            return drafted.settle((name, version) for name in names)

        with ThreadPoolExecutor(2) as pool:
            new = [name for found in pool.map(settle, (ONE, TWO)) for name in found]
        assert sorted(new) == names
        for name in names:
            spec = Workspace(root=home, run=no_git).spec(name)
            assert spec and set(spec.versions) == {ONE, TWO}

    def test_a_pin_that_another_run_has_made_of_another_source(self, home: Path) -> None:
        (home / "specs" / "six.toml").write_text('name = "six"\n')
        drafted = drafts(home)
        drafted.write_pin("six", ONE, PIN)
        Workspace(root=home, run=no_git).write_pin("six", ONE, Pin(file="six-1.0.tar.gz", sha256="cd" * 32))
        with pytest.raises(FetchError, match="pinned to another source"):
            drafted.settle([("six", ONE)])

    def test_a_disk_that_is_full(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*arguments: object, **keywords: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("pybuilder.files.os.fsync", full)
        drafted = drafts(home)
        drafted.draft("six", DRAFT)
        with pytest.raises(StateError, match="full"):
            drafted.settle([("six", ONE)])
        assert not (home / "specs" / "six.toml").exists()


def test_what_is_proposed_is_read_in_place_of_what_is_there(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "w", tmp_path / "elsewhere"
    init(root)
    (root / "specs" / "six.toml").write_text('name = "six"\n')
    (root / "patches" / "six").mkdir()
    (root / "patches" / "six" / "a.patch").write_text("old")
    elsewhere.mkdir()
    (elsewhere / "spec").write_text('name = "six"\n[[patches]]\nfile = "a.patch"\n[[patches]]\nfile = "b.patch"\n')
    (elsewhere / "b").write_text("new")
    proposed = {"specs/six.toml": elsewhere / "spec", "patches/six/b.patch": elsewhere / "b"}
    made = Drafts(root=root, run=no_git, proposed=proposed)
    spec, version = made.spec("six"), Version("1.0")
    patches = made.patches("six", version, spec)
    assert [(patch.file, patch.path.read_text()) for patch in patches] == [("a.patch", "old"), ("b.patch", "new")]
    # A pin goes into the file that is there, which has nothing of what is only proposed.
    made.write_pin("six", version, Pin(file="six-1.0.tar.gz", sha256="ab" * 32))
    made.settle([("six", version)])
    assert "patches" not in (root / "specs" / "six.toml").read_text()
    assert made.noted("six", version) is None


def test_who_reads_a_spec_while_it_is_drafted_does_not_undo_that(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there, begun, go = drafts(home), threading.Event(), threading.Event()

    def slowly(self: Workspace, name: str) -> None:
        begun.set()
        go.wait(10)

    with monkeypatch.context() as patched, ThreadPoolExecutor(2) as pool:
        patched.setattr(Workspace, "spec", slowly)
        reading = pool.submit(there.spec, "six")
        assert begun.wait(10)
        drafting = pool.submit(there.draft, "six", 'name = "six"\n[build]\nenv = { A = "b" }\n')
        go.set()
        assert reading.result(10).name == "six"
        drafting.result(10)
    assert there.spec("six").build.env == {"A": "b"}
