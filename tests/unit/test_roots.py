"""What rpm's words mean, what a root's address is, and how an overlay becomes a plain tree: no rpm runs here."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pybuilder.errors import EngineError, StateError
from pybuilder.events import ignore
from pybuilder.lockfile import Rpm
from pybuilder.plan import Root
from pybuilder.rpm import install
from pybuilder.rpm.faults import fault
from pybuilder.rpm.install import HostInstaller, Transaction
from pybuilder.rpm.layers import flatten
from pybuilder.rpm.locked import LockedRoots
from pybuilder.rpm.roots import root_digest
from pybuilder.sandbox.host_root import HostRoots
from pybuilder.system_requires import WheelNeeds

DEBIAN = "rpm: RPM should not be used directly install RPM packages, use Alien instead!\n"


def rpm(name: str, sha256: str = "0") -> Rpm:
    return Rpm(
        name=name,
        evra="1:2.0-3.x86_64",
        sha256=sha256 * 64,
        size=1,
        repository="fedora",
        location=f"Packages/{name}.rpm",
        source="",
        key="",
        requires=(),
    )


class TestFaults:
    @pytest.mark.parametrize(
        "lines",
        [
            [],
            [DEBIAN],
            ["warning: user nobody-here does not exist - using root\n"],
            ["error: what a scriptlet prints that goes well\n", "No space left on device\n"],
            ["ldconfig: file /usr/lib64/x is truncated\n"],
        ],
    )
    def test_words_alone_are_no_failure(self, lines: list[str]) -> None:
        assert fault(lines, status=0, log="LOG") is None

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            (
                "warning: %post(glibc-common-2.40-3.fc45.x86_64) scriptlet failed, exit status 127",
                "%post of glibc-common-2.40-3.fc45.x86_64 failed: exit status 127",
            ),
            ("error: %prein(a-1-1.noarch) scriptlet failed, signal 11", "%prein of a-1-1.noarch failed: signal 11"),
            ('error: lua script failed: [string "%post(a-1-1.noarch)"]:3: no', "%post of a-1-1.noarch failed: 3: no"),
        ],
    )
    @pytest.mark.parametrize("status", [0, 1])
    def test_a_scriptlet_is_named_whatever_rpm_ends_with(self, line: str, told: str, status: int) -> None:
        found = fault([DEBIAN, "before\n", f"{line}\n", "after\n"], status=status, log="LOG")
        assert isinstance(found, EngineError) and found.what == f"the scriptlet {told}"
        assert "Alien" not in found.where and found.where.split() == f"before {line} after".split()
        name = "glibc-common" if "glibc" in line else "a"
        assert found.cure.startswith("read LOG") and found.cure.endswith(f"--update {name}")

    def test_several_scriptlets_are_all_named_once(self) -> None:
        lines = [f"warning: %post({name}-1-1.noarch) scriptlet failed, exit status 1\n" for name in "aab"]
        found = fault(lines, status=0, log="LOG")
        assert found is not None and found.what == "2 scriptlets failed"
        assert "%post of a-1-1.noarch" in found.where and "%post of b-1-1.noarch" in found.where

    @pytest.mark.parametrize(
        "line",
        [
            "error: unpacking of archive failed on file /usr/bin/x;65: cpio: write failed - No space left on device",
            "\tinstalling package gcc-12-1.x86_64 needs 49MB more space on the / filesystem",
            "\tinstalling package gcc-12-1.x86_64 needs 149 inodes on the / filesystem",
            "mkdir: cannot create directory 'x': Disk quota exceeded",
        ],
    )
    def test_a_full_disk_is_the_cause_of_whatever_follows(self, line: str) -> None:
        follows = "warning: %post(a-1-1.noarch) scriptlet failed, exit status 1"
        for lines, status in (([line], 1), ([line, follows], 0)):
            found = fault(lines, status=status, log="LOG")
            assert (
                isinstance(found, StateError) and found.what == "the disk is full" and "free some space" in found.cure
            )

    def test_conflicts_and_dependencies_are_listed_and_cut_short(self) -> None:
        conflict = "\tfile /opt/x conflicts between attempted installs of a-1-1.noarch and b-1-1.noarch"
        found = fault([conflict], status=1, log="LOG")
        assert isinstance(found, EngineError) and found.where == conflict.strip()
        lines = ["error: Failed dependencies:", *(f"\tlib{n} is needed by a-1-1.noarch" for n in range(20))]
        found = fault(lines, status=20, log="LOG")
        assert isinstance(found, EngineError) and "don't fit together" in found.what
        assert found.where.count("is needed by") == 8 and found.where.endswith("and 12 more")

    def test_anything_else_shows_what_was_said_last(self) -> None:
        found = fault([f"line {n}\n" for n in range(100)], status=7, log="LOG")
        assert isinstance(found, EngineError) and found.what == "rpm failed with exit status 7"
        assert found.where.startswith("line 88\n") and found.where.endswith("line 99") and found.cure == "read LOG"


class TestAddress:
    def test_it_is_the_set_in_any_order_and_the_macros(self) -> None:
        one, two = rpm("a"), rpm("b")
        known = root_digest([one, two], {"x": "1", "y": "2"})
        assert known == root_digest([two, one, two], {"y": "2", "x": "1"})
        others = [
            root_digest([one], {"x": "1", "y": "2"}),
            root_digest([one, rpm("b", "1")], {"x": "1", "y": "2"}),
            root_digest([one, two], {"x": "1", "y": "3"}),
        ]
        assert len({known, *others}) == 4

    def test_where_an_rpm_came_from_is_no_part_of_it(self) -> None:
        moved = rpm("a").model_copy(update={"repository": "updates", "location": "x/a.rpm", "key": "0" * 16})
        assert root_digest([moved], {}) == root_digest([rpm("a")], {})


class TestTransaction:
    def test_macros_come_before_the_files(self, tmp_path: Path) -> None:
        transaction = Transaction(
            work=tmp_path, base=None, store=tmp_path, rpms=[Path("aa/x.rpm")], macros={"%b": "two words", "a": "1"}
        )
        assert transaction.arguments == ["--define", "b two words", "--define", "a 1", "/rpms/aa/x.rpm"]

    def test_the_hosts_rpm_is_for_root(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(install.os, "geteuid", lambda: 1000)
        with pytest.raises(EngineError, match="for root alone") as failure:
            HostInstaller().run(Transaction(work=tmp_path, base=None, store=tmp_path, rpms=[], macros={}))
        assert "podman" in failure.value.cure


class TestFlatten:
    @pytest.fixture
    def trees(self, tmp_path: Path) -> tuple[Path, Path, Path]:
        base, upper, tree = (tmp_path / name for name in ("base", "upper", "tree"))
        for directory in (
            base / "usr/bin",
            base / "gone/deep",
            base / "opaque",
            upper / "usr/bin",
            upper / "opaque",
            tree,
        ):
            directory.mkdir(parents=True)
        for file in (
            "usr/bin/kept",
            "usr/bin/changed",
            "usr/bin/removed",
            "gone/deep/x",
            "opaque/hidden",
            "was-a-file",
        ):
            (base / file).write_text("base")
        (base / "link").symlink_to("usr")
        return base, upper, tree

    def test_it_is_what_the_overlay_shows(self, trees: tuple[Path, Path, Path]) -> None:
        base, upper, tree = trees
        (upper / "usr/bin/changed").write_text("upper")
        (upper / "usr/bin/new").write_text("upper")
        os.link(upper / "usr/bin/new", upper / "usr/bin/twin")
        os.setxattr(upper / "usr/bin/new", "user.overlay.origin", b"x")
        os.setxattr(upper / "usr/bin/new", "user.kept", b"y")
        os.mknod(upper / "usr/bin/removed", stat.S_IFCHR, os.makedev(0, 0))
        os.mknod(upper / "gone", stat.S_IFCHR, os.makedev(0, 0))
        os.setxattr(upper / "opaque", "user.overlay.opaque", b"y")
        (upper / "opaque" / "seen").write_text("upper")
        (upper / "was-a-file").mkdir()
        (upper / "was-a-file" / "x").write_text("upper")
        flatten(str(base), str(upper), str(tree))
        files = {str(path.relative_to(tree)): path.read_text() for path in tree.rglob("*") if path.is_file()}
        assert files == {
            "usr/bin/kept": "base",
            "usr/bin/changed": "upper",
            "usr/bin/new": "upper",
            "usr/bin/twin": "upper",
            "opaque/seen": "upper",
            "was-a-file/x": "upper",
        }
        assert (tree / "link").readlink() == Path("usr")
        assert (tree / "usr/bin/kept").samefile(base / "usr/bin/kept")
        assert (tree / "usr/bin/new").samefile(tree / "usr/bin/twin")
        assert os.listxattr(tree / "usr/bin/new") == ["user.kept"] and os.listxattr(tree / "opaque") == []
        assert (base / "usr/bin/changed").read_text() == "base" and (base / "gone/deep/x").exists()

    def test_directories_have_the_mode_and_time_of_what_is_on_top(self, trees: tuple[Path, Path, Path]) -> None:
        base, upper, tree = trees
        for directory, mode, when in ((base / "gone", 0o755, 1), (base / "usr", 0o755, 2), (upper / "usr", 0o1777, 3)):
            directory.chmod(mode)
            os.utime(directory, (when, when))
        flatten(str(base), str(upper), str(tree))
        found = {name: (tree / name).stat() for name in ("gone", "usr")}
        assert {name: (stat.S_IMODE(facts.st_mode), facts.st_mtime) for name, facts in found.items()} == {
            "gone": (0o755, 1),
            "usr": (0o1777, 3),
        }


class TestRecordedRoots:
    def locked(self, *rpms: Rpm, macros: str = "") -> LockedRoots:
        buildroot: Any = SimpleNamespace(macros={"_x": macros})
        lock: Any = SimpleNamespace(rpms={each.name: each for each in rpms})
        nothing: Any = None
        return LockedRoots(buildroot=buildroot, lock=lock, roots=nothing, listen=ignore)

    def recorded(self, *rpms: Rpm) -> Root:
        contents = {"rpms": [{"name": each.name} for each in rpms]}
        return Root(kind="rpm", digest=root_digest(rpms, {"_x": ""}), contents=contents)

    def test_a_lock_that_has_the_same_rpms_and_more(self) -> None:
        assert self.locked(rpm("a"), rpm("b"), rpm("c")).has(self.recorded(rpm("a"), rpm("b")))

    def test_a_lock_that_has_moved(self) -> None:
        recorded = self.recorded(rpm("a"), rpm("b"))
        assert not self.locked(rpm("a"), rpm("b", "1")).has(recorded)
        assert not self.locked(rpm("a")).has(recorded)
        assert not self.locked(rpm("a"), rpm("b"), macros="other").has(recorded)

    def test_a_machine_that_has_changed(self) -> None:
        before, now = (Root(kind="host", digest=each, contents={}) for each in ("before", "now"))
        assert HostRoots(lambda: now).has(now)
        assert not HostRoots(lambda: now).has(before)


class TestComparedWithAWheel:
    """A store that is asked for an RPM fails here: it has none."""

    def locked(self) -> LockedRoots:
        buildroot: Any = SimpleNamespace(runtime=("a",), packages=("a",))
        lock: Any = SimpleNamespace(rpms={"a": rpm("a")}, answers={"a": "a"}, closure=lambda _: (rpm("a"),))
        roots: Any = SimpleNamespace()
        return LockedRoots(buildroot=buildroot, lock=lock, roots=roots, listen=ignore)

    def test_no_rpm_is_looked_at_for_a_wheel_without_elf_files(self) -> None:
        found = self.locked().compare(self.wheel({}), self.built_on)
        assert found.problems == ()
        assert found.document["elf"] == found.document["rpms"] == []

    def test_rpms_are_looked_at_for_one_that_has_some(self) -> None:
        with pytest.raises(AttributeError, match="store"):
            self.locked().compare(self.wheel({"libc.so.6()(64bit)": ("x.so",)}), self.built_on)

    built_on = Root(kind="rpm", digest="", contents={"rpms": [{"name": "a"}]})

    def wheel(self, needs: dict[str, tuple[str, ...]]) -> WheelNeeds:
        return WheelNeeds(package="demo", needs=needs, declared=(), system=(), beside=())
