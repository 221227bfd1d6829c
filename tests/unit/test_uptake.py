"""What is written about a new version, from what became of its patches."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from pybuilder.patching.rebase import Tried
from pybuilder.requirement_changes import RequirementChange
from pybuilder.spec import Pin, parse_spec
from pybuilder.spec_edit import with_pin
from pybuilder.uptake.patches import Case, TakenOver, Unclear, take_over
from pybuilder.uptake.prepared import PatchNews, Prepared
from pybuilder.workspace.edits import Change

SHA = "ab" * 32
TARGET = {"buildroot": "host", "python": "3.11", "variant": ""}
ENTRY = '[[patches]]\nfile = "{}"\n'


class TestPatches:
    @staticmethod
    def taken(
        root: Path, spec: str, pinned: str, fates: dict[str, str], *, new: str = "2.0", there: tuple[str, ...] = ()
    ) -> TakenOver:
        directory = root / "patches" / "x"
        directory.mkdir(parents=True)
        for file in (*fates, *there):
            (directory / file).write_text(f"old {file}")
        text = f'name = "x"\n{spec}'
        for version in pinned.split():
            text = with_pin(text, Version(version), Pin(file=f"x-{version}.tar.gz", sha256=SHA))
        case = Case(root=root, spec=parse_spec(text, "specs/x.toml"), version=Version(new), target=TARGET)
        tried = [
            Tried(
                patch=directory / file,
                fate=fate,  # type: ignore[arg-type]
                why="" if fate == "applies" else "why",
                text=f"new {file}".encode() if fate == "rebased" else b"",
                rejects=("-a", "+b") if fate == "rejected" else (),
            )
            for file, fate in fates.items()
        ]
        return take_over(case, with_pin(text, Version(new), Pin(file=f"x-{new}.tar.gz", sha256=SHA)), tried)

    def files(self, found: TakenOver, version: str, root: Path) -> tuple[str, ...]:
        case = Case(root=root, spec=parse_spec(found.text, "specs/x.toml"), version=Version(version), target=TARGET)
        return case.files(case.spec, case.version)

    def test_what_applies_leaves_the_spec_as_it_is(self, tmp_path: Path) -> None:
        found = self.taken(tmp_path, "", "1.0", {"a.patch": "applies"})
        assert found.changes == () and "patches" not in found.text and '"2.0"' in found.text

    def test_a_patch_that_no_pin_has_is_replaced(self, tmp_path: Path) -> None:
        spec = '[[patches]]\nfile = "a.patch"\nversions = ">=2"\n'
        found = self.taken(tmp_path, spec, "1.0", {"a.patch": "rebased"})
        assert found.changes == (Change(file="patches/x/a.patch", before=b"old a.patch", after=b"new a.patch"),)
        assert spec in found.text and found.news[0].line == "a.patch: rebased, as a.patch"

    @pytest.mark.parametrize(
        "spec",
        [
            '[[patches]]\nfile = "a.patch"\nversions = "<1.5"\n[[patches]]\nfile = "a.patch"\nversions = ">=2"\n',
            '[[patches]]\nfile = "a.patch"\nversions = ">=2"\n'
            '[[override]]\nwhen.versions = "<2"\n[[override.patches]]\nfile = "a.patch"\n',
        ],
        ids=["entry", "override"],
    )
    def test_a_patch_that_a_pin_has_by_another_entry_stays_what_it_is(self, tmp_path: Path, spec: str) -> None:
        found = self.taken(tmp_path, spec, "1.0", {"a.patch": "rebased"})
        assert [change.file for change in found.changes] == ["patches/x/a-2.0.patch"]
        assert self.files(found, "1.0", tmp_path) == ("a.patch",)
        assert self.files(found, "2.0", tmp_path) == ("a-2.0.patch",)

    def test_a_new_file_would_be_for_versions_that_have_all_files(self, tmp_path: Path) -> None:
        spec = '[[override]]\nwhen.versions = ">=2"\n[[override.patches]]\nfile = "a.patch"\n'
        with pytest.raises(Unclear, match=r"patches/x/a-2\.0\.patch would be for what lists no"):
            self.taken(tmp_path, spec, "1.0", {"a.patch": "rebased"})

    def test_other_series_keep_the_patch_and_names_have_one_version(self, tmp_path: Path) -> None:
        spec = ENTRY.format("a-1.0.patch")
        found = self.taken(tmp_path, spec, "1.0 3.0 3.1", {"a-1.0.patch": "rebased"})
        assert [change.file for change in found.changes] == ["patches/x/a-2.0.patch"]
        every = {version: self.files(found, version, tmp_path) for version in ("1.0", "2.0", "2.1", "3.0", "3.2")}
        assert every == {
            "1.0": ("a-1.0.patch",),
            "2.0": ("a-2.0.patch",),
            "2.1": ("a-2.0.patch",),
            "3.0": ("a-1.0.patch",),
            "3.2": ("a-1.0.patch",),
        }
        assert found.news[0].until == "<2.0, or >=3.0"

    def test_all_files_that_were_taken_are_listed_in_order(self, tmp_path: Path) -> None:
        fates = {"a.patch": "applies", "b.patch": "merged", "c.patch": "rebased"}
        found = self.taken(tmp_path, "", "1.0", fates)
        assert self.files(found, "1.0", tmp_path) == ("a.patch", "b.patch", "c.patch")
        assert self.files(found, "2.0", tmp_path) == ("a.patch", "c-2.0.patch")

    def test_the_list_of_the_override_that_counts_is_edited(self, tmp_path: Path) -> None:
        spec = (
            ENTRY.format("z.patch") + '[[override]]\nwhen.buildroot = "ho*"\n[[override.patches]]\nfile = "a.patch"\n'
        )
        found = self.taken(tmp_path, spec, "1.0", {"a.patch": "merged"}, there=("z.patch",))
        assert self.files(found, "1.0", tmp_path) == ("a.patch",) and self.files(found, "2.0", tmp_path) == ()
        assert found.text.startswith('name = "x"\n' + ENTRY.format("z.patch") + "[[override]]")

    @pytest.mark.parametrize(
        ("pinned", "new", "there", "words"),
        [
            ("1.0", "2.0", ("a-2.0.patch",), "patches/x/a-2.0.patch is there already"),
            ("2.0+cpu", "2.0+cu126", (), "no ranges of versions keep the patch a.patch apart"),
        ],
    )
    def test_what_only_a_person_can_write(
        self, tmp_path: Path, pinned: str, new: str, there: tuple[str, ...], words: str
    ) -> None:
        with pytest.raises(Unclear) as caught:
            self.taken(tmp_path, ENTRY.format("a.patch"), pinned, {"a.patch": "rebased"}, new=new, there=there)
        assert words in caught.value.what

    def test_a_rejected_patch_is_for_a_person(self, tmp_path: Path) -> None:
        found = self.taken(tmp_path, "", "1.0", {"a.patch": "applies", "b.patch": "rejected"})
        assert found.review == "why, and it can't be rebased" and found.changes == ()
        assert [(each.fate, each.rejects) for each in found.news] == [("applies", ()), ("rejected", ("-a", "+b"))]


def prepared(**fields: object) -> Prepared:
    known: dict[str, object] = {
        "name": canonicalize_name("six"),
        "version": Version("2.0"),
        "old": None,
        "pin": Pin(commit="cd" * 20),
        "review": "",
        "changes": (),
        "patches": (),
        "requirements": (),
        "notes": (),
        "needed_by": 0,
    }
    return Prepared(**{**known, **fields})  # type: ignore[arg-type]


def test_the_message_says_what_is_known_and_what_strangers_wrote_stays_on_its_line() -> None:
    assert prepared().message == f"six: update to 2.0\n\nCommit: {'cd' * 20}\n\nNothing needs it.\n"
    change = RequirementChange(kind="build", name="a", before=(), after=("a; extra == 'x\x1b[2J\nFixes: all'",))
    news = PatchNews(file="a.patch", fate="merged", why="it does not apply", until="<2.0")
    told = prepared(old=Version("1.0"), requirements=(change,), patches=(news,), notes=("look",), needed_by=2).message
    assert told.splitlines()[0] == "six: update to 2.0 from 1.0" and told.endswith("\n\nNeeded by 2 packages.\n")
    assert "\nFixes" not in told and "\x1b" not in told
    assert "- a.patch: upstream has merged it; it is for <2.0 from now on\n\nLook:\n- look\n" in told
