"""Publishing on a real file system: what is where, what is refused, what survives."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder import files as filesystem
from pybuilder.errors import StateError, ValidationError
from pybuilder.index import Index
from pybuilder.index.pages import parse_project_html
from pybuilder.index.tree import Tree
from tests.support.indexes import (
    NOON,
    make_release,
    make_source,
    make_wheel,
    open_index,
    sha256,
    tree_bytes,
)

SIX = NormalizedName("six")


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return open_index(tmp_path / "state")


def test_a_release_is_all_there(index: Index, tmp_path: Path) -> None:
    record = tmp_path / "attempt 1"
    (record / "deep").mkdir(parents=True)
    (record / "deep" / "build.log").write_text("log")
    wheel, source = make_wheel(tmp_path / "out"), make_source(tmp_path / "out")
    (record / ".system.json.0a1b2c3d.tmp").write_bytes(b"what a killed run has not finished")
    release = make_release(wheel, source=source, record=record, beside={".cdx.json": b"bill"})

    (published,) = index.publish([release])

    assert published == index.root / "files" / wheel.name
    assert published.read_bytes() == wheel.read_bytes()
    metadata = published.with_name(f"{wheel.name}.metadata").read_bytes()
    assert metadata.startswith(b"Metadata-Version: 2.1\nName: six\nVersion: 1.17.0+pb.1\n")
    assert published.with_name(f"{wheel.name}.cdx.json").read_bytes() == b"bill"
    assert (index.root / "sources" / "files" / source.name).read_bytes() == b"source"
    assert (index.root / "records" / release.payload_sha256 / "attempt 1/deep/build.log").read_text() == "log"
    (file,) = index.files(SIX)
    assert (file.version, file.sha256, file.size) == (
        "1.17.0+pb.1",
        release.sha256,
        wheel.stat().st_size,
    )
    assert (file.requires_python, file.upload_time) == (">=3.8", NOON.replace(microsecond=0))
    (archive,) = index.sources(SIX)
    assert (archive.version, archive.metadata_sha256) == ("1.17.0", "")
    assert index.projects() == (SIX,)
    assert index.verify() == ()


def test_nothing_is_published_yet(index: Index) -> None:
    assert (index.projects(), index.files(SIX), index.verify()) == ((), (), ())


def test_only_the_pages_of_the_project_are_touched(index: Index, tmp_path: Path) -> None:
    first = make_wheel(tmp_path)
    other = make_wheel(tmp_path, "idna", "3.10+pb.1")
    index.publish([make_release(first), make_release(other, source=make_source(tmp_path, "idna-3.10.tar.gz"))])
    before = _inodes(index.root)

    index.publish([make_release(make_wheel(tmp_path, "six", "1.17.0+pb.2"))])

    now = _inodes(index.root)
    changed = {path for path in now if now[path] != before.get(path)}
    name = "six-1.17.0+pb.2-py3-none-any.whl"
    assert changed == {f"files/{name}", f"files/{name}.metadata", f"files/{name}.intoto.json"} | {
        f"simple/six/{page}" for page in ("index.html", "index.json", "index.v1_json")
    }

    index.publish([make_release(make_wheel(tmp_path, "attrs", "25.1+pb.1"))])

    changed = {path for path in _inodes(index.root) if _inodes(index.root)[path] != now.get(path)}
    assert {path for path in changed if path.startswith("simple")} == {
        f"simple/{page}" for page in ("index.html", "index.json", "index.v1_json")
    } | {f"simple/attrs/{page}" for page in ("index.html", "index.json", "index.v1_json")}


def _inodes(root: Path) -> dict[str, tuple[int, int]]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def test_the_same_file_twice_is_no_change(index: Index, tmp_path: Path) -> None:
    release = make_release(make_wheel(tmp_path), source=make_source(tmp_path))
    index.publish([release, release])
    before = _inodes(index.root)
    index.publish([replace(release, upload_time=NOON.replace(year=2027))])
    assert _inodes(index.root) == before


def test_what_lies_beside_a_published_wheel_stays(index: Index, tmp_path: Path) -> None:
    """As the wheel does; nor is anything put beside one of which nobody would know."""
    wheel = make_wheel(tmp_path)
    index.publish([make_release(wheel, beside={".cdx.json": b"bill"})])
    before = tree_bytes(index.root)
    (index.root / "files" / wheel.name).unlink()
    index.publish([make_release(wheel, beside={".cdx.json": b"another", ".intoto.json": b"{}"})])
    assert tree_bytes(index.root) == before


def test_another_content_under_a_published_name_is_refused(index: Index, tmp_path: Path) -> None:
    index.publish([make_release(make_wheel(tmp_path))])
    before = tree_bytes(index.root)
    other = make_release(make_wheel(tmp_path / "b", content="y = 2\n"))
    good = make_release(make_wheel(tmp_path, "idna", "3.10+pb.1"))
    with pytest.raises(ValidationError, match=r"six-1\.17\.0\+pb\.1-py3-none-any\.whl.*never replaced"):
        index.publish([good, other])
    assert tree_bytes(index.root) == before


def test_two_contents_under_one_name_in_a_group_are_refused(index: Index, tmp_path: Path) -> None:
    one, two = make_wheel(tmp_path / "a"), make_wheel(tmp_path / "b", content="y = 2\n")
    with pytest.raises(ValidationError, match="never replaced"):
        index.publish([make_release(one), make_release(two)])
    assert not index.root.exists()


@pytest.mark.parametrize(
    ("filename", "message"),
    [
        ("six-1.18.0+pb.1-py3-none-any.whl", "does not agree with the file name"),
        ("six-1.17.0.tar.gz", "no numbered wheel"),
        ("six.whl", "neither a wheel's nor a source archive's name"),
    ],
)
def test_what_is_no_numbered_wheel_is_refused(index: Index, tmp_path: Path, filename: str, message: str) -> None:
    wheel = make_wheel(tmp_path).rename(tmp_path / filename)
    with pytest.raises(ValidationError, match=message) as caught:
        index.publish([make_release(wheel)])
    assert filename in str(caught.value)


def test_a_wheel_without_a_number_is_refused(index: Index, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"six-1\.17\.0-py3-none-any\.whl is no numbered wheel"):
        index.publish([make_release(make_wheel(tmp_path, version="1.17.0"))])


@pytest.mark.parametrize("damage", [b"", b"no zip", b"PK\x05\x06" + bytes(18)])
def test_a_damaged_wheel_is_refused(index: Index, tmp_path: Path, damage: bytes) -> None:
    wheel = make_wheel(tmp_path)
    wheel.write_bytes(damage)
    with pytest.raises(ValidationError, match=r"six-1\.17\.0"):
        index.publish([make_release(wheel)])


def test_a_wheel_that_changed_since_validation_takes_its_group_back(index: Index, tmp_path: Path) -> None:
    index.publish([make_release(make_wheel(tmp_path, "attrs", "25.1+pb.1"))])
    before = tree_bytes(index.root)
    wheel = make_wheel(tmp_path, "idna", "3.10+pb.1")
    good = make_release(wheel, source=make_source(tmp_path), beside={".cdx.json": b"bill"})
    bad = replace(make_release(make_wheel(tmp_path)), sha256="0" * 64)
    with pytest.raises(ValidationError, match="is not the file that was validated"):
        index.publish([good, bad])
    assert tree_bytes(index.root) == before
    assert index.verify() == ()


def test_a_source_that_changed_under_its_name_is_kept_beside(index: Index, tmp_path: Path) -> None:
    """As path sources do: every wheel's source is found, and a third wheel of the first source adds none."""
    sources = [make_source(tmp_path / str(n), "six-1.17.0.tar", b"%d" % (n % 2)) for n in range(3)]
    for number, source in enumerate(sources, start=1):
        index.publish([make_release(make_wheel(tmp_path, version=f"1.17.0+pb.{number}"), source=source)])
    names = {file.filename: file.sha256 for file in index.sources(SIX)}
    assert names == {
        "six-1.17.0.tar": sha256(sources[0]),
        "six-1.17.0+pb.2.tar": sha256(sources[1]),
    }
    assert index.verify() == ()


def test_yank_and_unyank_survive_refresh(index: Index, tmp_path: Path) -> None:
    wheels = [make_wheel(tmp_path, version=f"1.17.0+pb.{n}", tag=tag) for n in (1, 2) for tag in TAGS]
    index.publish([make_release(wheel) for wheel in wheels])
    index.yank({(SIX, Version("1.17.0+pb.1")): 'crashes on "<x>"'})
    index.refresh()
    yanked = {(file.version, file.yanked) for file in index.files(SIX)}
    assert yanked == {("1.17.0+pb.1", 'crashes on "<x>"'), ("1.17.0+pb.2", None)}
    assert index.verify() == ()
    index.yank({(SIX, Version("1.17.0+pb.1")): None})
    assert {file.yanked for file in index.files(SIX)} == {None}


TAGS = ("py3-none-any", "cp311-cp311-linux_x86_64")


def test_a_yanked_version_of_upstreams_is_so_in_all_its_builds_now_and_later(index: Index, tmp_path: Path) -> None:
    source = make_source(tmp_path)
    wheels = [make_wheel(tmp_path, version="1.17.0+pb.1", tag=tag) for tag in TAGS]
    index.publish([make_release(wheel, source=source) for wheel in wheels])
    index.publish([make_release(make_wheel(tmp_path, "idna", "3.10+pb.1"))])
    index.yank({(SIX, Version("1.17")): "upstream: bad", (NormalizedName("idna"), Version("4")): "gone"})
    index.publish([make_release(make_wheel(tmp_path, version="1.17.0+pb.2"), source=source)])
    index.publish([make_release(make_wheel(tmp_path, version="1.18.0+pb.1"))])
    index.publish([make_release(make_wheel(tmp_path, "idna", "4.0+pb.1"))])

    def said() -> set[tuple[str, str | None]]:
        files = [*index.files(SIX), *index.sources(SIX), *index.files(NormalizedName("idna"))]
        return {(file.version, file.yanked) for file in files}

    bad, good = ("1.17.0+pb.1", "1.17.0+pb.2", "1.17.0"), ("1.18.0+pb.1", "3.10+pb.1")
    others = {("4.0+pb.1", "gone"), *((version, None) for version in good)}
    assert said() == {*((version, "upstream: bad") for version in bad), *others} and index.verify() == ()
    bytes_before = tree_bytes(index.root)
    assert index.refresh().pages == () and tree_bytes(index.root) == bytes_before
    moved = Index(Path(shutil.copytree(index.root, tmp_path / "mirror")), lock=tmp_path / "lock")
    shutil.rmtree(moved.root / "simple")
    shutil.rmtree(moved.root / "sources" / "simple")
    moved.refresh()
    assert {file.yanked for file in (*moved.files(SIX)[:3], *moved.sources(SIX))} == {"upstream: bad"}

    index.yank({(SIX, Version("1.17.0")): None})
    assert said() == {*((version, None) for version in bad), *others} and index.verify() == ()
    assert index.yanked() == {"idna": {Version("4"): "gone"}}


def test_killed_at_any_rename_a_yank_is_said_of_all_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    idna, seen, real = NormalizedName("idna"), set(), os.replace
    for count in range(1, 100):
        index, out = open_index(tmp_path / str(count)), tmp_path / str(count) / "out"
        index.publish([make_release(make_wheel(out, name, "1.0+pb.1")) for name in ("six", "idna")])
        left = iter(range(count - 1, -1, -1))

        def rename(*arguments: Any, left: Iterator[int] = left) -> None:
            if next(left, 1) == 0:
                raise KeyboardInterrupt
            real(*arguments)

        with monkeypatch.context() as dying:
            dying.setattr(os, "replace", rename)
            with suppress(KeyboardInterrupt):
                index.yank({(SIX, Version("1.0")): "a", (idna, Version("1.0")): "b"})
        assert_installers_can_use(index)
        index.settle()
        assert index.verify() == (), count
        marks = (index.files(SIX)[0].yanked, index.files(idna)[0].yanked)
        assert marks in ((None, None), ("a", "b"))
        seen.add(marks)
        if next(left, None) is not None:
            break
    assert len(seen) == 2 and count > 6


def test_a_moved_tree_is_whole(index: Index, tmp_path: Path) -> None:
    index.publish([make_release(make_wheel(tmp_path), source=make_source(tmp_path))])
    moved = shutil.copytree(index.root, tmp_path / "mirror" / "anything")
    assert Index(moved, lock=tmp_path / "lock").verify() == ()


def test_the_review_queue_is_published(index: Index) -> None:
    times = {"first_seen": "2026-01-02T03:04:05.000006Z"}
    waiting = [
        {"name": "trove", "requirement": "trove>=1", "wanted_by": "hatchling", **times},
        {"name": "abc", "requirement": "abc", "wanted_by": "six", **times},
    ]
    rejected = [{"name": "evil", "reason": "<b>bad</b>", "by": "Ada", "when": "2026-01-03T00:00:00Z"}]
    index.write_review([], [])
    assert not index.root.exists()
    index.write_review(waiting, rejected)
    written = [index.root / name for name in ("review.json", "review.html")]
    assert json.loads(written[0].read_bytes()) == {"review": waiting, "rejected": rejected}
    assert "&lt;b&gt;bad&lt;/b&gt;" in written[1].read_text()
    before = [path.stat().st_ino for path in written]
    index.write_review(waiting, rejected)
    assert [path.stat().st_ino for path in written] == before
    assert index.verify() == ()
    index.write_review([], [])
    assert json.loads(written[0].read_bytes()) == {"review": [], "rejected": []}


def test_publishers_at_once_lose_nothing(index: Index, tmp_path: Path) -> None:
    wheels = [make_wheel(tmp_path, name, f"1.{n}+pb.1") for name in ("six", "idna") for n in range(6)]
    threads = [threading.Thread(target=index.publish, args=([make_release(wheel)],)) for wheel in wheels]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(index.files(project)) for project in index.projects()] == [6, 6]
    assert index.verify() == ()


@pytest.mark.parametrize("failing", range(1, 15))
def test_a_full_disk_leaves_the_old_index(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    index.publish([make_release(make_wheel(tmp_path))])
    record = tmp_path / "attempt"
    record.mkdir()
    (record / "log").write_text("log")
    wheel = make_wheel(tmp_path, "idna", "3.10+pb.1")
    source = make_source(tmp_path, "idna-3.10.tar")
    release = make_release(wheel, source=source, record=record, beside={".cdx.json": b"bill"})
    calls = 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls >= failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StateError, match="the disk is full"):
            index.publish([release])
    assert_installers_can_use(index)
    assert [file.version for file in index.files(SIX)] == ["1.17.0+pb.1"]
    index.publish([release])
    assert index.verify() == ()
    assert index.projects() == ("idna", "six")


def test_a_tree_that_cannot_be_written_is_a_state_error(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*arguments: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(index.root))

    monkeypatch.setattr(filesystem.tempfile, "mkstemp", read_only)
    with pytest.raises(StateError, match="read-only") as caught:
        index.publish([make_release(make_wheel(tmp_path))])
    assert caught.value.cure


DYING = """
    import os, sys
    from datetime import datetime, UTC
    from pathlib import Path
    from tests.support.indexes import make_release, make_source, make_wheel, open_index
    state, count, when = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    out = state / "out"
    record = out / "attempt"
    record.mkdir(parents=True, exist_ok=True)
    (record / "log").write_text("log")
    beside = {".cdx.json": b"bill"}
    group = [
        make_release(
            make_wheel(out, name, "2.0+pb.1"),
            source=make_source(out, f"{name}-2.0.tar"),
            record=record,
            beside=beside,
        )
        for name in ("six", "idna")
    ]
    calls = 0
    def dying(real):
        def rename(*arguments, **options):
            global calls
            calls += 1
            if calls == count and when == "before": os._exit(9)
            real(*arguments, **options)
            if calls == count: os._exit(9)
        return rename
    for name in ("replace", "rename", "unlink"):
        setattr(os, name, dying(getattr(os, name)))
    open_index(state).publish(group)
"""


def die(state: Path, count: int, when: str) -> bool:
    """Publish in another process that is killed at its Nth rename or unlink; False where it had fewer."""
    repository = Path(__file__).parents[2]
    argv = [sys.executable, "-c", textwrap.dedent(DYING), str(state), str(count), when]
    code = subprocess.run(argv, cwd=repository, env=os.environ | {"PYTHONPATH": str(repository)}).returncode
    assert code in (0, 9)
    return code == 9


def assert_installers_can_use(index: Index) -> None:
    """Every page there is can be read, and everything it lists is there as it says."""
    tree = Tree(index.root)
    for page in tree.simple.glob("*/index.html"):
        for link in parse_project_html(page.read_bytes()):
            path = tree.files / link.filename
            assert sha256(path) == link.sha256
            assert path.with_name(f"{path.name}.metadata").is_file()
    for page in [*tree.simple.glob("*/*json"), *tree.simple.glob("*json")]:
        json.loads(page.read_bytes())
    for project in tree.projects_with_pages():
        for file in tree.read(project):
            assert tree.holds(file)
    for project in tree.projects():
        assert (tree.simple / project / "index.html").is_file()


def refresh(index: Index, state: Path) -> None:
    index.refresh()


def publish_again(index: Index, state: Path) -> None:
    assert not die(state, 10_000, "before")


def settle(index: Index, state: Path) -> None:
    index.settle()
    told = {project: index.files(project) for project in index.projects()}
    index.publish([])
    assert told == {project: index.files(project) for project in index.projects()}


def publish_another(index: Index, state: Path) -> None:
    index.publish([make_release(make_wheel(state / "out", "attrs", "25.1+pb.1"))])


@pytest.mark.parametrize("heal", [refresh, settle, publish_again, publish_another])
def test_killed_at_any_rename_the_index_is_valid_and_heals(tmp_path: Path, heal: Callable[[Index, Path], None]) -> None:
    count, seen = 1, set()
    for count in range(1, 100):
        state = tmp_path / str(count)
        index = open_index(state)
        index.publish([make_release(make_wheel(state / "out", "six", "1.17.0+pb.1"))])
        index.yank({(SIX, Version("1.17.0+pb.1")): "old"})
        died = die(state, count, "after" if count % 2 else "before")
        assert_installers_can_use(index)
        heal(index, state)
        assert index.verify() == (), count
        versions = {project: [file.version for file in index.files(project)] for project in index.projects()}
        new = (versions["six"], versions.get("idna"))
        # All of the group or nothing of it.
        assert new in ((["1.17.0+pb.1"], None), (["1.17.0+pb.1", "2.0+pb.1"], ["2.0+pb.1"])), count
        assert index.files(SIX)[0].yanked == "old"
        seen.add(len(new[0]))
        if not died:
            break
    assert count > 20
    assert seen == ({2} if heal is publish_again else {1, 2})
