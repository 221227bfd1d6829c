from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from pybuilder.errors import ConfigError
from pybuilder.patching import apply
from pybuilder.patching.rebase import Tried, try_patches
from pybuilder.processes import Completed, run
from tests.support.git import git, repository

Make = Callable[..., Path]

BEFORE = {
    "setup.py": b"".join(b"line %d\n" % n for n in range(30)),
    "dos.txt": b"one\r\ntwo\r\n",
    "bin": bytes(range(256)),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The tree that patches are applied to; its twin beside it is where they are made."""
    directory = tmp_path / "work" / "foo-1.0"
    directory.mkdir(parents=True)
    for name, data in BEFORE.items():
        (directory / name).write_bytes(data)
    repository(tmp_path / "twin", BEFORE)
    return directory


@pytest.fixture
def make(tmp_path: Path, tree: Path) -> Make:
    twin = tmp_path / "twin"

    def made(name: str = "0001.patch", **changes: bytes) -> Path:
        for path, data in changes.items():
            (twin / path.replace("_", ".")).write_bytes(data)
        git(twin, "add", "--all")
        patch = tmp_path / "patches" / "foo" / name
        patch.parent.mkdir(parents=True, exist_ok=True)
        git(twin, "diff", "--cached", "--binary", "--no-color", f"--output={patch}")
        git(twin, "commit", "--quiet", "--allow-empty", "--message=x")
        return patch

    return made


def changed(line: int, text: bytes = b"changed\n") -> bytes:
    return BEFORE["setup.py"].replace(b"line %d\n" % line, text)


def hand(tmp_path: Path, text: str) -> Path:
    patch = tmp_path / "patches" / "foo" / "hand.patch"
    patch.parent.mkdir(parents=True, exist_ok=True)
    patch.write_text(text)
    return patch


def test_text_crlf_binary_new_and_removed_files(tree: Path, make: Make, tmp_path: Path) -> None:
    (tmp_path / "twin" / "gone").write_bytes(b"x\n")
    (tree / "gone").write_bytes(b"x\n")
    make("base.patch")
    (tmp_path / "twin" / "gone").unlink()
    patch = make(setup_py=changed(7), dos_txt=b"one\r\nTWO\r\n", bin=bytes(300), new_py=b"new\n")
    old = os.umask(0o077)
    try:
        apply(tree, [patch])
    finally:
        os.umask(old)
    assert (tree / "setup.py").read_bytes() == changed(7)
    assert (tree / "dos.txt").read_bytes() == b"one\r\nTWO\r\n"
    assert (tree / "bin").read_bytes() == bytes(300)
    assert not (tree / "gone").exists()
    assert (tree / "new.py").stat().st_mode & 0o777 == 0o644


def test_mode_bits_and_renames(tree: Path, make: Make, tmp_path: Path) -> None:
    (tmp_path / "twin" / "setup.py").chmod(0o755)
    git(tmp_path / "twin", "mv", "dos.txt", "renamed.txt")
    apply(tree, [make()])
    assert (tree / "setup.py").stat().st_mode & 0o777 == 0o755
    assert (tree / "renamed.txt").exists() and not (tree / "dos.txt").exists()


def test_patches_are_applied_in_order(tree: Path, make: Make) -> None:
    first, second = make("0001.patch", setup_py=changed(7)), make("0002.patch", setup_py=changed(7, b"again\n"))
    apply(tree, [first, second])
    assert (tree / "setup.py").read_bytes() == changed(7, b"again\n")


@pytest.mark.parametrize("where", ["around", "inside"])
def test_repositories_around_and_inside_the_tree_have_no_say(
    tree: Path, make: Make, tmp_path: Path, where: str
) -> None:
    directory = tree if where == "inside" else tmp_path / "work"
    git(directory, "init", "--quiet")
    marker = tmp_path / "ran"
    git(directory, "config", "core.fsmonitor", f"touch {marker}")
    git(directory, "config", "core.autocrlf", "true")
    apply(tree, [make(setup_py=changed(7), dos_txt=b"one\r\nTWO\r\n")])
    assert (tree / "setup.py").read_bytes() == changed(7)
    assert (tree / "dos.txt").read_bytes() == b"one\r\nTWO\r\n"
    assert not marker.exists()


def test_a_patch_that_does_not_apply_names_patch_file_and_hunk(tree: Path, make: Make) -> None:
    patch = make(setup_py=changed(7), new_py=b"new\n")
    (tree / "setup.py").write_bytes(changed(6, b"upstream changed\n"))
    with pytest.raises(ConfigError) as caught:
        apply(tree, [patch])
    assert caught.value.what == "patches/foo/0001.patch: hunk at line 5 of setup.py does not apply"
    assert caught.value.exit_code == 3 and caught.value.where == str(patch)
    assert not (tree / "new.py").exists()


def test_a_patch_for_a_file_that_is_not_there(tree: Path, make: Make) -> None:
    patch = make(setup_py=changed(7))
    (tree / "setup.py").unlink()
    with pytest.raises(ConfigError, match=r"patches/foo/0001.patch: setup.py: No such file"):
        apply(tree, [patch])


def test_a_patch_is_not_applied_twice(tree: Path, make: Make) -> None:
    patch = make(setup_py=changed(7))
    with pytest.raises(ConfigError, match="does not apply"):
        apply(tree, [patch, patch])


def test_a_git_that_says_yes_and_does_nothing(tree: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def idle(argv: Sequence[str], **options: Any) -> Completed:
        return run(argv if "--numstat" in argv else ["true"], **options)

    monkeypatch.setattr("pybuilder.patching.tool.run", idle)
    with pytest.raises(ConfigError, match=r"0001.patch: git left 'setup.py' as it was"):
        apply(tree, [make(setup_py=changed(7))])


OUTSIDE = """--- /dev/null
+++ b/{path}
@@ -0,0 +1 @@
+evil
"""


@pytest.mark.parametrize("path", ["../evil", "a/../../evil", "/evil", "link/evil"])
def test_patches_that_reach_out(tree: Path, tmp_path: Path, path: str) -> None:
    (tree / "link").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match=r"patches/foo/hand.patch: it reaches out"):
        apply(tree, [hand(tmp_path, OUTSIDE.format(path=path))])
    assert not (tmp_path / "evil").exists() and not (tmp_path / "work" / "evil").exists()


def test_a_patch_that_makes_a_link_out(tree: Path, tmp_path: Path) -> None:
    text = "diff --git a/x b/x\nnew file mode 120000\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+/etc/passwd\n"
    with pytest.raises(ConfigError, match="link out of the source: 'x'"):
        apply(tree, [hand(tmp_path, text + "\\ No newline at end of file\n")])


@pytest.mark.parametrize(
    "text", ["", "From a mail without a patch\n", "--- a/setup.py\n+++ b/setup.py\n@@ -1 +1 @@\nrubbish\n"]
)
def test_what_is_no_patch(tree: Path, tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"patches/foo/hand.patch"):
        apply(tree, [hand(tmp_path, text)])


class TestRebase:
    """Patches that were made for one source, on a newer one."""

    OLD = MappingProxyType({"src/a.py": b"".join(b"line %d\n" % n for n in range(40)), "b.txt": b"one\r\ntwo\r\n"})

    @staticmethod
    def written(directory: Path, files: Mapping[str, bytes]) -> Path:
        for name, data in files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(data)
        return directory

    def patched(self, tmp_path: Path, before: Mapping[str, bytes], after: Mapping[str, bytes], name: str) -> Path:
        twin = tmp_path / name
        repository(twin, before)
        self.written(twin, after)
        git(twin, "add", "--all")
        patch = tmp_path / "patches" / "foo" / f"{name}.patch"
        patch.parent.mkdir(parents=True, exist_ok=True)
        head = "From 1234 Mon Sep 17 00:00:00 2001\nFrom: Ada\nSubject: why\n\nBecause.\n---\n src/a.py | 2 +-\n\n"
        git(twin, "diff", "--cached", "--binary", f"--output={patch}")
        patch.write_bytes(head.encode() + patch.read_bytes())
        return patch

    def tried(
        self, tmp_path: Path, new: Mapping[str, bytes], *patches: Path, old: Mapping[str, bytes] | None = OLD
    ) -> tuple[Tried, ...]:
        (tmp_path / "work").mkdir()
        before = None if old is None else self.written(tmp_path / "old", old)
        found = try_patches(self.written(tmp_path / "new", new), patches, old=lambda: before, work=tmp_path / "work")
        # Whatever is proposed applies exactly, and makes what was tried.
        again = self.written(tmp_path / "again", new)
        for number, one in enumerate(found):
            if one.fate == "rebased":
                (tmp_path / "patches" / "foo" / f"new{number}").write_bytes(one.text)
                apply(again, [tmp_path / "patches" / "foo" / f"new{number}"])
            elif one.fate == "applies":
                apply(again, [one.patch])
        if found[-1].fate != "rejected":
            assert tree_of(again) == tree_of(tmp_path / "new")
        return found

    def changed(self, *lines: int, **others: bytes) -> dict[str, bytes]:
        data = self.OLD["src/a.py"]
        for line in lines:
            data = data.replace(b"line %d\n" % line, b"changed %d\n" % line)
        return {**self.OLD, "src/a.py": data, **others}

    def test_a_patch_that_fits_stays_and_one_beside_a_change_is_rebased(self, tmp_path: Path) -> None:
        near = self.patched(tmp_path, self.OLD, self.changed(20), "near")
        far = self.patched(tmp_path, self.changed(20), self.changed(20, 30), "far")
        fits, rebased = self.tried(tmp_path, self.changed(22, 3), far, near)
        assert (fits.fate, rebased.fate) == ("applies", "rebased")
        assert rebased.why == "patches/foo/near.patch: hunk at line 18 of src/a.py does not apply"
        assert rebased.text.startswith(b"From 1234") and b"Because.\n---\n\ndiff --git" in rebased.text
        assert b"+changed 20" in rebased.text and b"2 +-" not in rebased.text and b"changed 30" not in rebased.text
        assert b"changed 20\nline 21\nchanged 22\n" in (tmp_path / "new" / "src/a.py").read_bytes()

    def test_a_file_that_upstream_has_moved_is_followed(self, tmp_path: Path) -> None:
        patch = self.patched(tmp_path, self.OLD, self.changed(20), "moved")
        new = {"lib/foo/a.py": self.changed(3)["src/a.py"], "b.txt": b"one\r\ntwo\r\n"}
        [one] = self.tried(tmp_path, new, patch)
        assert one.fate == "rebased" and b"+++ b/lib/foo/a.py" in one.text and "src/a.py: No such file" in one.why

    def test_a_file_that_is_only_a_little_like_it_is_not_it(self, tmp_path: Path) -> None:
        patch = self.patched(tmp_path, self.OLD, self.changed(20), "moved")
        other = self.changed(*range(8), *range(32, 40))["src/a.py"]
        [one] = self.tried(tmp_path, {"lib/b.py": other}, patch)
        assert one.fate == "rejected" and "src/a.py: No such file" in one.why

    def test_what_upstream_has_merged_is_not_applied_again(self, tmp_path: Path) -> None:
        merged = self.patched(tmp_path, self.OLD, self.changed(20), "merged")
        nearly = self.patched(tmp_path, self.changed(20), self.changed(20, 30), "nearly")
        on_top = self.patched(tmp_path, self.changed(20, 30), self.changed(20, 21, 30), "on-top")
        found = self.tried(tmp_path, self.changed(20, 30, 32), merged, nearly, on_top)
        assert [one.fate for one in found] == ["merged", "merged", "applies"]

    def test_what_upstream_has_merged_is_known_without_the_old_source(self, tmp_path: Path) -> None:
        merged = self.patched(tmp_path, self.OLD, self.changed(20), "merged")
        [one] = self.tried(tmp_path, self.changed(3, 20), merged, old=None)
        assert one.fate == "merged" and one.why.endswith("does not apply")

    def test_a_patch_on_top_of_a_merged_one_is_rebased(self, tmp_path: Path) -> None:
        merged = self.patched(tmp_path, self.OLD, self.changed(20), "merged")
        on_top = self.patched(tmp_path, self.changed(20), self.changed(20, 21), "on-top")
        found = self.tried(tmp_path, self.changed(20, 24), merged, on_top)
        assert [one.fate for one in found] == ["merged", "rebased"]

    def test_a_conflict_is_rejected_with_its_hunks_and_ends_it(self, tmp_path: Path) -> None:
        patch = self.patched(tmp_path, self.OLD, self.changed(20, 35), "conflict")
        after = self.patched(tmp_path, self.OLD, self.changed(3), "after")
        new = self.changed()
        new["src/a.py"] = new["src/a.py"].replace(b"line 20\n", b"theirs\n")
        [one] = self.tried(tmp_path, new, patch, after)
        assert one.fate == "rejected" and one.why.endswith("hunk at line 18 of src/a.py does not apply")
        assert "-line 20" in one.rejects and "+changed 20" in one.rejects and "+changed 35" not in one.rejects

    @pytest.mark.parametrize("old", [None, {"src/a.py": b"other\n"}], ids=["none", "another"])
    def test_without_the_source_that_it_was_made_for_it_is_rejected(
        self, tmp_path: Path, old: Mapping[str, bytes] | None
    ) -> None:
        patch = self.patched(tmp_path, self.OLD, self.changed(20), "near")
        [one] = self.tried(tmp_path, self.changed(22), patch, old=old)
        assert one.fate == "rejected" and "+changed 20" in one.rejects

    def test_settings_of_the_source_have_no_say(self, tmp_path: Path) -> None:
        """Its attributes would change line ends, and its ignored files would not be seen."""
        ours = {".gitattributes": b"* text=auto eol=crlf merge=union ident\n", ".gitignore": b"*\n"}
        old, dos = {**self.OLD, **ours}, b"one\r\nTWO\r\n"
        patch = self.patched(tmp_path, self.OLD, {**self.changed(20), "b.txt": dos}, "dos")
        [one] = self.tried(tmp_path, {**self.changed(22), **ours}, patch, old=old)
        assert one.fate == "rebased" and (tmp_path / "new" / "b.txt").read_bytes() == dos

    def test_a_patch_that_leads_out_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="reaches out"):
            self.tried(tmp_path, self.OLD, hand(tmp_path, "--- a/../x\n+++ b/../x\n@@ -0,0 +1 @@\n+x\n"))


def tree_of(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}
