"""The workspace's files: found, read, pinned. Git is a fake here; integration tests have the real one."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from pybuilder import workspace as module
from pybuilder.errors import ConfigError, EngineError, FetchError, StateError, UsageError
from pybuilder.processes import Completed
from pybuilder.spec import Pin, parse_spec
from pybuilder.workspace import Workspace, init
from pybuilder.workspace.checkout import Revision

PIN = Pin(file="six-1.17.0.tar.gz", sha256="ab" * 32)
V = Version("1.17.0")


def no_git(argv: Sequence[str], **_: Any) -> Completed:
    raise EngineError(f"the program {argv[0]!r} is missing")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    root = tmp_path / "w"
    init(root)
    return root


def opened(root: Path) -> Workspace:
    return Workspace.open(root, run=no_git)


def write(root: Path, file: str, text: str) -> Path:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_init_makes_a_workspace_that_can_be_used(home: Path) -> None:
    workspace = opened(home)
    assert workspace.settings.label == "pb"
    assert workspace.spec_names() == ()
    assert workspace.buildroot_names() == ("host",)
    root = workspace.buildroot("host")
    assert root.pythons == (f"{sys.version_info.major}.{sys.version_info.minor}",)
    assert (home / ".gitignore").read_text() == ".pybuild/\n"


def test_init_overwrites_nothing(home: Path) -> None:
    write(home, "pybuild.toml", 'label = "mine"\n')
    (home / ".gitignore").unlink()
    (home / ".gitignore").symlink_to("elsewhere")
    (home / "buildroots" / "host.toml").unlink()
    assert init(home) == (home / "buildroots" / "host.toml",)
    assert opened(home).settings.label == "mine"
    assert init(home) == ()


@pytest.mark.parametrize("file", ["specs", "w"])
def test_init_where_a_file_stands_is_refused(tmp_path: Path, file: str) -> None:
    directory = tmp_path / "w" if file == "specs" else tmp_path / "w" / "x"
    write(tmp_path, "w/specs" if file == "specs" else "w", "")
    with pytest.raises(UsageError) as caught:
        init(directory)
    assert file in caught.value.where


@pytest.mark.parametrize("mark", ["pybuild.toml", "specs/six.toml"])
def test_a_workspace_is_found_upwards(tmp_path: Path, mark: str) -> None:
    write(tmp_path, mark, 'name = "six"' if "six" in mark else "")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert opened(below).root == tmp_path


def test_no_workspace_is_an_error_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        opened(tmp_path)
    assert str(tmp_path) in str(caught.value) and "pybuild init" in caught.value.cure


def test_specs_are_listed_without_being_read(home: Path) -> None:
    for name in ("six", "idna", ".#six"):
        write(home, f"specs/{name}.toml", "no toml at all")
    write(home, "specs/README.md", "")
    assert opened(home).spec_names() == ("idna", "six")


def test_similar_names_are_suggested(home: Path) -> None:
    for name in ("six", "requests", "idna"):
        write(home, f"specs/{name}.toml", "")
    assert opened(home).similar("request") == ("requests",)
    assert opened(home).similar("zzzz") == ()


def test_a_spec_is_read_or_absent(home: Path) -> None:
    write(home, "specs/six.toml", 'name = "six"')
    workspace = opened(home)
    six = workspace.spec("six")
    assert six is not None and six.name == "six"
    assert workspace.spec("idna") is None


@pytest.mark.parametrize("name", ["../pybuild", "", "a/b", ".x"])
def test_a_spec_is_never_looked_for_outside(home: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no package name"):
        opened(home).spec(name)


def test_a_spec_that_is_not_utf8_names_the_line(home: Path) -> None:
    (home / "specs" / "six.toml").write_bytes(b'name = "six"\n# \xff\n')
    with pytest.raises(ConfigError) as caught:
        opened(home).spec("six")
    assert caught.value.where == "specs/six.toml:2"


def test_a_spec_that_can_t_be_read_says_so(home: Path) -> None:
    (home / "specs" / "six.toml").mkdir()
    with pytest.raises(ConfigError, match=r"specs/six\.toml can't be read"):
        opened(home).spec("six")


REJECTED = '[packages.evil]\nreason = "not kept up"\nby = "Ada"\n'


def test_the_list_of_rejected_packages_is_no_spec(home: Path) -> None:
    write(home, "specs/rejected.toml", REJECTED)
    write(home, "specs/six.toml", 'name = "six"\n')
    workspace = opened(home)
    assert workspace.spec_names() == ("six",) and workspace.similar("rejectd") == ()
    assert workspace.spec("rejected") is None and not workspace.accepts("rejected")
    assert "lists the packages that nobody wants" in workspace.refusal("rejected")
    with pytest.raises(UsageError, match=r"specs/rejected\.toml lists"):
        workspace.add_spec("rejected", 'name = "rejected"\n')
    assert (home / "specs" / "rejected.toml").read_text() == REJECTED


def test_what_is_said_against_a_package(home: Path) -> None:
    assert opened(home).refusal("evil") == "" and opened(home).rejections == {}
    write(home, "specs/rejected.toml", REJECTED)
    assert opened(home).refusal("evil") == "rejected by Ada: not kept up"
    assert opened(home).refusal("six") == ""
    write(home, "specs/rejected.toml", "[packages.evil]\nwhy = 'x'\n")
    with pytest.raises(ConfigError, match="unknown key 'why'"):
        opened(home).refusal("six")


def test_who_works_here_is_who_git_says() -> None:
    def git(argv: Sequence[str], **_: Any) -> Completed:
        assert argv[-2:] == ["var", "GIT_AUTHOR_IDENT"]
        return Completed(returncode=0, stdout="Ada Ł <ada@localhost> 1767312000 +0000\n".encode(), stderr=b"")

    assert Workspace(root=Path("/"), run=git).author() == "Ada Ł"
    assert Workspace(root=Path("/"), run=no_git).author() == ""


def test_buildroots_extend_each_other(home: Path) -> None:
    write(home, "buildroots/a.toml", 'name = "a"\nextends = "b"\nenv.A = "1"')
    write(home, "buildroots/b.toml", 'name = "b"\nextends = "host"\nenv.B = "2"\nenv.A = "0"')
    assert opened(home).buildroot("a").env == {"A": "1", "B": "2"}
    assert opened(home).buildroot("a").engine == "host"


def test_buildroots_in_a_circle_are_explained(home: Path) -> None:
    write(home, "buildroots/a.toml", 'name = "a"\nextends = "b"')
    write(home, "buildroots/b.toml", 'name = "b"\n\nextends = "a"')
    with pytest.raises(ConfigError, match="a -> b -> a") as caught:
        opened(home).buildroot("a")
    # The place is in the file that closes the circle, not in the one asked for.
    assert caught.value.where == "buildroots/b.toml:3:1 extends"


def test_a_missing_parent_names_the_line_that_wants_it(home: Path) -> None:
    write(home, "buildroots/a.toml", 'name = "a"\nextends = "fedora"')
    with pytest.raises(ConfigError, match="no buildroot 'fedora'") as caught:
        opened(home).buildroot("a")
    assert caught.value.where == "buildroots/a.toml:2:1 extends"


@pytest.mark.parametrize("name", ["fedora-45", "../specs/six"])
def test_an_unknown_buildroot_is_no_fallback_to_another(home: Path, name: str) -> None:
    write(home, "specs/six.toml", 'name = "six"')
    with pytest.raises(EngineError, match="no buildroot") as caught:
        opened(home).buildroot(name)
    assert "host" in caught.value.cure


def patched(home: Path, spec: str, version: str = "5") -> tuple[str, ...]:
    write(home, "specs/x.toml", f'name = "x"\n{spec}')
    workspace = opened(home)
    read = workspace.spec("x")
    assert read is not None
    effective = read.effective(version=Version(version), buildroot="host", python="3.11")
    return tuple(patch.file for patch in workspace.patches("x", Version(version), effective))


def test_by_default_every_patch_is_applied_in_order_of_name(home: Path) -> None:
    for file in ("0010-c.patch", "0002-b.patch", "0001-a.patch", "README", ".#0001-a.patch"):
        write(home, f"patches/x/{file}", file)
    assert patched(home, "") == ("0001-a.patch", "0002-b.patch", "0010-c.patch")


def test_no_patch_directory_is_no_patches(home: Path) -> None:
    assert patched(home, "") == ()


def test_listed_patches_keep_their_order_and_ranges(home: Path) -> None:
    for file in ("a.patch", "b.patch", "sub/c.diff", "unlisted.patch"):
        write(home, f"patches/x/{file}", "")
    listed = "[[patches]]\nfile='sub/c.diff'\n[[patches]]\nfile='b.patch'\nversions='<5'\n[[patches]]\nfile='a.patch'\n"
    assert patched(home, listed, "5") == ("sub/c.diff", "a.patch")
    assert patched(home, listed, "4.9rc1") == ("sub/c.diff", "b.patch", "a.patch")


def test_a_patch_carries_the_digest_of_its_bytes(home: Path) -> None:
    write(home, "patches/x/a.patch", "text\r\n")
    write(home, "specs/x.toml", 'name = "x"')
    workspace = opened(home)
    spec = workspace.spec("x")
    assert spec is not None
    (patch,) = workspace.patches("x", V, spec)
    assert (
        patch.sha256 == hashlib.sha256(b"text\r\n").hexdigest() == hashlib.sha256(patch.path.read_bytes()).hexdigest()
    )


def test_a_listed_patch_that_is_missing_names_the_line(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file patches/x/a\.patch") as caught:
        patched(home, "[[patches]]\nfile = 'a.patch'\n")
    assert caught.value.where == "specs/x.toml:3:1 [[patches]][0].file"


def test_a_missing_patch_of_an_override_names_the_overrides_line(home: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        patched(home, "[[override]]\nwhen.versions='5'\npatches = [{file = 'a.patch'}]\n".replace("'5'", "'>=5'"))
    assert caught.value.where == "specs/x.toml:4:13 [[override]][0].patches[0].file"


@pytest.mark.parametrize("spec", ["", "[[patches]]\nfile = 'a.patch'\n"], ids=["default", "listed"])
@pytest.mark.parametrize("link", ["file", "directory"])
def test_a_patch_that_leads_out_through_a_link_is_refused(home: Path, spec: str, link: str) -> None:
    write(home, "outside/a.patch", "")
    if link == "file":
        (home / "patches" / "x").mkdir()
        (home / "patches" / "x" / "a.patch").symlink_to("../../outside/a.patch")
    else:
        (home / "patches" / "x").symlink_to("../outside")
    with pytest.raises(ConfigError, match="leads out of patches/x") as caught:
        patched(home, spec)
    assert caught.value.where == ("specs/x.toml:3:1 [[patches]][0].file" if spec else "patches/x/a.patch")


def test_a_workspace_reached_through_a_link_has_its_patches(home: Path, tmp_path: Path) -> None:
    write(home, "patches/x/a.patch", "")
    (tmp_path / "link").symlink_to(home)
    assert patched(tmp_path / "link", "") == ("a.patch",)


def test_a_pin_is_written_once(home: Path) -> None:
    path = write(home, "specs/six.toml", '# six\nname = "six"\n')
    path.chmod(0o664)
    assert opened(home).write_pin("six", V, PIN)
    text = path.read_text()
    assert text.startswith("# six\n") and path.stat().st_mode & 0o777 == 0o664
    stamp = path.stat().st_ino
    assert opened(home).write_pin("six", V, PIN)
    assert path.stat().st_ino == stamp
    assert os.listdir(path.parent) == ["six.toml"]


def test_another_pin_of_the_same_version_is_refused_and_nothing_is_written(home: Path) -> None:
    path = write(home, "specs/six.toml", 'name = "six"\n')
    opened(home).write_pin("six", V, PIN)
    text = path.read_text()
    with pytest.raises(FetchError, match=r"six 1\.17 is pinned to another source"):
        opened(home).write_pin("six", Version("1.17"), Pin(file=PIN.file, sha256="cd" * 32))
    assert path.read_text() == text


WHEEL = Pin(file="six-1.17.0-cp311-cp311-linux_x86_64.whl", sha256="ef" * 32)


def test_a_wheel_takes_the_place_of_a_source_and_the_other_way(home: Path) -> None:
    path = write(home, "specs/six.toml", f'name = "six"\n[versions]\n"1.17" = {{ commit = "{"0" * 40}" }} # mine\n')
    assert opened(home).write_pin("six", V, WHEEL)
    assert path.read_text().count("file") == 1 and WHEEL.file in path.read_text() and "# mine" in path.read_text()
    assert opened(home).write_pin("six", V, PIN)
    assert WHEEL.file not in path.read_text() and PIN.file in path.read_text()


def test_of_wheels_for_several_targets_the_first_stays(home: Path) -> None:
    path = write(home, "specs/six.toml", 'name = "six"\n')
    assert opened(home).write_pin("six", V, WHEEL)
    text = path.read_text()
    assert not opened(home).write_pin("six", V, Pin(file="six-1.17.0-py3-none-any.whl", sha256="ab" * 32))
    assert path.read_text() == text
    with pytest.raises(FetchError, match="pinned to another source"):
        opened(home).write_pin("six", V, Pin(file=WHEEL.file, sha256="ab" * 32))


def test_a_pin_needs_a_spec(home: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        opened(home).write_pin("six", V, PIN)
    assert "pybuild new six" in caught.value.cure


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_workspace_that_can_t_be_written_is_no_error(
    home: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    write(home, "specs/six.toml", 'name = "six"\n')
    monkeypatch.setattr(module, "write_atomic", refuse)
    assert not opened(home).write_pin("six", V, PIN)


def test_a_full_disk_is_an_error_and_the_spec_stays(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = write(home, "specs/six.toml", 'name = "six"\n')
    monkeypatch.setattr(module, "write_atomic", full)
    with pytest.raises(StateError, match="disk is full"):
        opened(home).write_pin("six", V, PIN)
    assert path.read_text() == 'name = "six"\n'


def test_without_git_nothing_is_known_and_so_everything_is_dirty(home: Path) -> None:
    assert opened(home).commit_id() is None
    assert opened(home).dirty([home / "pybuild.toml"])
    assert not opened(home).dirty([])


def test_where_git_is_missing_nothing_is_said_of_a_commit(home: Path) -> None:
    spec = parse_spec('name = "six"\n', "specs/six.toml")
    found = opened(home).revision("six", V, spec, patches=[], beside=[], buildroot="host")
    assert found == Revision(commit="", state="unversioned")
