from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pybuilder.errors import ConfigError
from pybuilder.patching import apply
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

    monkeypatch.setattr("pybuilder.patching.run", idle)
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
