"""What is written and committed when a person says yes or no."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.commits import Change
from pybuilder.errors import CommitError, ConfigError, EngineError, FetchError, PybuildError, UsageError
from pybuilder.layout import Layout
from pybuilder.reviews import Reviews
from pybuilder.state import State
from pybuilder.workspace import Workspace

SIX = NormalizedName("six")
SCREENING = "the screening of its source, which has 1 archive: x.zip"


def no_git(*_: object, **__: object) -> Any:
    raise EngineError("no git")


@dataclass
class Here:
    root: Path
    state: State
    offered: tuple[str, ...] = ("",)
    refusal: PybuildError | None = None
    meanwhile: Callable[[], None] = lambda: None
    messages: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)

    def wait(self, *requirements: str, by: str = "alpha 1.0") -> None:
        """Each a day after the one before."""
        for each in requirements:
            day = len(self.state.review()) + 1
            self.state.ask_review([("six", each, by)], now=f"2026-01-{day:02}T00:00:00Z")

    def write(self, file: str, text: str) -> None:
        (self.root / "specs" / file).write_text(text)

    def text(self, file: str) -> str:
        return (self.root / "specs" / file).read_text()

    def compose(self, requirement: Requirement) -> Any:
        """The spec of the version that is named, or of 1.0."""
        named = [each.version for each in requirement.specifier if each.operator == "=="]
        findings = SimpleNamespace(summary="Bridges\n\x1b[31m", licence="MIT")
        text = f'name = "six"\n# as {requirement}\n'
        return SimpleNamespace(version=Version([*named, "1.0"][0]), text=text, findings=findings, missing=())

    def commit(self, changes: Sequence[Change], message: str, *, recheck: Callable[[], None] = lambda: None) -> str:
        if self.refusal:
            raise self.refusal
        self.meanwhile()
        recheck()
        for each in changes:
            path = self.root / each.file
            assert (path.read_bytes() if path.exists() else None) == each.before
            path.write_bytes(each.after or b"")
        self.messages.append(message)
        return f"commit {len(self.messages)}"

    def update(self, name: NormalizedName, version: Version) -> str:
        self.updated.append(f"{name} {version}")
        return f"update {version}"

    @property
    def reviews(self) -> Reviews:
        chooser = SimpleNamespace(offered=lambda name, wanted: [v for v in self.offered if SpecifierSet(v) == wanted])
        return Reviews(
            workspace=Workspace(root=self.root, run=no_git),
            state=self.state,
            commits=cast(Any, SimpleNamespace(commit=self.commit)),
            writer=cast(Any, SimpleNamespace(chooser=chooser, compose=self.compose)),
            update=self.update,
            now=lambda: datetime(2026, 1, 2, tzinfo=UTC),
        )


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    (tmp_path / "specs").mkdir()
    with closing(State.open(Layout(root=tmp_path / "state"))) as state:
        yield Here(root=tmp_path, state=state)


class TestYes:
    def test_to_a_package(self, here: Here) -> None:
        here.wait("six>=1", by="\x1b[31malpha 1.0")
        done = here.reviews.approve(SIX)
        assert (done.outcome, done.versions, done.file, done.commit) == (
            "taken in",
            (Version("1.0"),),
            "specs/six.toml",
            "commit 1",
        )
        safe = "\N{REPLACEMENT CHARACTER}[31m"
        assert here.messages == [
            f"Take in six 1.0\n\nBridges {safe} · MIT\nWanted as six>=1 by {safe}alpha 1.0\n",
        ]

    @pytest.mark.parametrize(
        ("offered", "taken"),
        [(("<2,>=1", "<2", ">=1"), "<2,>=1"), (("<2", ">=1"), ">=1"), (("<2",), "<2"), ((), "<2,>=1")],
    )
    def test_to_the_version_that_is_wanted(self, here: Here, offered: tuple[str, ...], taken: str) -> None:
        here.offered = offered
        here.wait("six>=1")
        here.wait("six<2", by="beta 1.0")
        here.reviews.approve(SIX)
        assert here.text("six.toml").endswith(f"# as six{taken}\n")

    def test_to_a_version_that_is_named(self, here: Here) -> None:
        here.wait("six>=1")
        assert here.reviews.approve(SIX, Version("0.9")).versions == (Version("0.9"),)

    def test_what_screening_found_is_nobody_s_wish(self, here: Here) -> None:
        here.wait("six==1.0", by=SCREENING)
        assert here.reviews.approve(SIX).versions == (Version("1.0"),)
        assert SCREENING not in here.messages[0]

    def test_to_what_nobody_wants(self, here: Here) -> None:
        with pytest.raises(UsageError, match="nobody waits for six"):
            here.reviews.approve(SIX)

    def test_after_a_no_in_one_commit(self, here: Here) -> None:
        here.write("rejected.toml", "# mine\n\n[packages.six]\nreason = 'old'\n\n[packages.seven]\n")
        here.reviews.approve(SIX)
        assert here.text("rejected.toml") == "# mine\n\n[packages.seven]\n"
        assert here.text("six.toml").startswith('name = "six"')
        [message] = here.messages
        assert message.endswith("It was rejected: old\n")

    def test_to_new_versions(self, here: Here) -> None:
        here.write("six.toml", 'name = "six"\n')
        here.wait("six==2.0", "six==1.5", by="update")
        done = here.reviews.approve(SIX)
        assert (done.outcome, done.commit) == ("updated", "update 2.0")
        assert here.updated == ["six 1.5", "six 2.0"] and here.messages == []
        assert here.reviews.approve(SIX, Version("2")).versions == (Version("2.0"),)
        with pytest.raises(UsageError, match="six 3 does not wait") as caught:
            here.reviews.approve(SIX, Version("3"))
        assert "1.5, 2.0" in caught.value.cure

    def test_to_what_is_accepted_already(self, here: Here) -> None:
        here.write("six.toml", 'name = "six"\n')
        here.wait("six")
        done = here.reviews.approve(SIX)
        assert (done.outcome, done.commit, here.messages) == ("accepted already", "", [])

    def test_what_screening_holds_is_allowed_elsewhere(self, here: Here) -> None:
        here.write("six.toml", 'name = "six"\n')
        here.wait("six==1.0", by=SCREENING)
        with pytest.raises(UsageError, match="the screening of its source") as caught:
            here.reviews.approve(SIX)
        assert "[[screen.exceptions]]" in caught.value.cure

    def test_that_git_refuses(self, here: Here) -> None:
        here.wait("six")
        here.refusal = CommitError("a hook says no")
        with pytest.raises(CommitError):
            here.reviews.approve(SIX)
        assert not (here.root / "specs" / "six.toml").exists()

    @pytest.mark.parametrize("before", ["", "[packages.six]\nreason = 'old'\n"])
    def test_beside_somebody_s_no(self, here: Here, before: str) -> None:
        here.write("rejected.toml", before)
        here.wait("six")
        here.meanwhile = lambda: here.write("rejected.toml", "[packages.six]\nreason = 'new'\n")
        with pytest.raises(UsageError, match="somebody else has rejected six meanwhile") as caught:
            here.reviews.approve(SIX)
        assert "pybuild review show six" in caught.value.cure
        assert here.messages == [] and not (here.root / "specs" / "six.toml").exists()

    def test_beside_somebody_s_no_to_another(self, here: Here) -> None:
        here.wait("six")
        here.meanwhile = lambda: here.write("rejected.toml", "[packages.seven]\n")
        assert here.reviews.approve(SIX).outcome == "taken in"

    def test_to_what_cannot_be_had(self, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
        def gone(self: Here, requirement: Requirement) -> Any:
            raise FetchError("upstream has no source archive")

        monkeypatch.setattr(Here, "compose", gone)
        here.wait("six")
        with pytest.raises(FetchError):
            here.reviews.approve(SIX)
        assert here.messages == []


class TestNo:
    def test_to_a_package(self, here: Here) -> None:
        here.wait("six>=1")
        done = here.reviews.reject(SIX, reason="not\nkept up")
        assert (done.outcome, done.file, done.commit) == ("rejected", "specs/rejected.toml", "commit 1")
        assert here.messages == ["Reject six\n\nnot kept up\nWanted as six>=1 by alpha 1.0\n"]
        assert "when = 2026-01-02T00:00:00Z" in here.text("rejected.toml")

    def test_to_one_that_nobody_has_asked_for(self, here: Here) -> None:
        assert here.reviews.reject(SIX, reason="").outcome == "rejected"
        assert here.messages == ["Reject six\n"]

    def test_twice(self, here: Here) -> None:
        here.reviews.reject(SIX, reason="first")
        done = here.reviews.reject(SIX, reason="")
        assert (done.outcome, done.commit, len(here.messages)) == ("rejected already", "", 1)
        assert here.reviews.reject(SIX, reason="second").outcome == "rejected"
        assert "second" in here.text("rejected.toml") and "first" not in here.text("rejected.toml")

    def test_to_new_versions(self, here: Here) -> None:
        here.write("six.toml", 'name = "six"\n# mine\n')
        here.wait("six==2.0", "six==1.5", by="update")
        assert here.reviews.reject(SIX, Version("1.5"), reason="breaks").versions == (Version("1.5"),)
        assert here.messages == ["Ignore six 1.5\n\nbreaks\n"]
        here.state.settle_review([("six", "six==1.5", "update")])
        here.reviews.reject(SIX, reason="")
        assert here.messages[1] == "Ignore six 2.0\n"
        text = here.text("six.toml")
        assert "# mine" in text and '"1.5", # breaks\n' in text and '"2.0",\n' in text

    @pytest.mark.parametrize("waits", [(), ("six",)])
    def test_to_what_is_accepted(self, here: Here, waits: tuple[str, ...]) -> None:
        here.write("six.toml", 'name = "six"\n')
        here.wait(*waits)
        with pytest.raises(UsageError, match="six is accepted") as caught:
            here.reviews.reject(SIX, reason="no")
        assert "remove specs/six.toml" in caught.value.cure

    def test_to_a_version_of_what_is_not_accepted(self, here: Here) -> None:
        with pytest.raises(UsageError, match="six has no spec"):
            here.reviews.reject(SIX, Version("1.0"), reason="no")

    def test_beside_somebody_s_yes(self, here: Here) -> None:
        here.meanwhile = lambda: here.write("six.toml", 'name = "six"\n')
        with pytest.raises(UsageError, match="somebody else has accepted six meanwhile"):
            here.reviews.reject(SIX, reason="no")
        assert here.messages == [] and not (here.root / "specs" / "rejected.toml").exists()

    def test_where_files_are_wrong(self, here: Here) -> None:
        (here.root / "specs" / "rejected.toml").write_bytes(b"\xff")
        with pytest.raises(ConfigError, match="not UTF-8"):
            here.reviews.reject(SIX, reason="no")
        (here.root / "specs" / "six.toml").write_bytes(b"\xff")
        here.wait("six==2.0", by="update")
        with pytest.raises(ConfigError, match="not UTF-8"):
            here.reviews.reject(SIX, reason="no")

    def test_to_the_list_itself(self, here: Here) -> None:
        with pytest.raises(UsageError, match="lists the packages that nobody wants"):
            here.reviews.reject(NormalizedName("rejected"), reason="no")
        assert not (here.root / "specs" / "rejected.toml").exists()
