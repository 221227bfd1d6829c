from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from pybuilder.errors import FetchError
from pybuilder.sources.archive import extract, pack, read_head
from pybuilder.sources.limits import EARLIEST, Limits, source_date_epoch, whole_seconds
from pybuilder.sources.members import Member
from tests.support.archives import COMPRESSIONS, Item, directory, hard, link, tar, write, zipped

NOW = 1_700_000_000
KINDS = [*COMPRESSIONS, "zip"]
GOOD = [
    Item("foo-1.0/PKG-INFO", b"Name: foo\n"),
    Item("foo-1.0/run.sh", b"#!/bin/sh\n", mode=0o4777),
    Item("foo-1.0/deep/er/x.py", b"x", mode=0o400),
    link("foo-1.0/deep/link", "../run.sh"),
    link("foo-1.0/dangling", "deep/none"),
]


def take(archive: Path, tmp_path: Path, limits: Limits | None = None) -> object:
    return extract(archive, tmp_path / "out", now=NOW, limits=limits)


@pytest.mark.parametrize("kind", KINDS)
def test_good_archives(tmp_path: Path, kind: str) -> None:
    archive = write(tmp_path / "foo", [directory("foo-1.0"), *GOOD], kind)
    found = extract(archive, tmp_path / "out", now=NOW)
    root = tmp_path / "out"
    assert found.root == root and found.newest_mtime == 1_600_000_000
    assert found.files == ("PKG-INFO", "run.sh", "deep/er/x.py", "deep/link", "dangling")
    assert (root / "deep/link").read_bytes() == b"#!/bin/sh\n"
    modes = {path.name: path.stat().st_mode & 0o7777 for path in root.rglob("*") if path.exists()}
    assert modes == {"PKG-INFO": 0o644, "run.sh": 0o755, "deep": 0o755, "er": 0o755, "x.py": 0o644, "link": 0o755}
    assert (root / "run.sh").stat().st_mtime == 1_600_000_000
    assert (root / "run.sh").stat().st_uid == os.getuid()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [0.1, 0.5, 0.97])
def test_truncated_archives(tmp_path: Path, kind: str, cut: float) -> None:
    noise = random.Random(1).randbytes(100_000)
    archive = write(tmp_path / "foo", [Item("foo-1.0/noise", noise), *GOOD], kind)
    data = archive.read_bytes()
    # An uncompressed tar ends in up to 10 kB of zeros, which nobody misses.
    end = data.rstrip(b"\0") if kind == "tar" else data
    archive.write_bytes(data[: int(len(end) * cut)])
    with pytest.raises(FetchError, match=rf"foo\.{kind} is truncated or damaged") as caught:
        take(archive, tmp_path)
    assert caught.value.where == str(archive)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "tar"])
def test_damaged_archives(tmp_path: Path, kind: str) -> None:
    archive = write(tmp_path / "foo", [Item("foo-1.0/noise", random.Random(1).randbytes(100_000))], kind)
    data = bytearray(archive.read_bytes())
    data[50_000:50_100] = bytes(100)
    archive.write_bytes(data)
    with pytest.raises(FetchError, match="damaged"):
        take(archive, tmp_path)


def test_a_bad_header_in_the_middle_is_not_the_end(tmp_path: Path) -> None:
    data = bytearray(tar([Item("foo-1.0/a", b"a"), Item("foo-1.0/b", b"b")]))
    data[1024:1030] = b"xxxxxx"
    archive = tmp_path / "foo.tar.gz"
    archive.write_bytes(gzip.compress(data))
    with pytest.raises(FetchError, match="bad header"):
        take(archive, tmp_path)


@pytest.mark.parametrize(
    "data", [b"", b"<html>login</html>", b"PK\x03\x04", b"\x1f\x8b", gzip.compress(b"no tar", mtime=0)]
)
def test_what_is_no_archive(tmp_path: Path, data: bytes) -> None:
    archive = tmp_path / "foo-1.0.tar.gz"
    archive.write_bytes(data)
    with pytest.raises(FetchError, match=r"foo-1\.0\.tar\.gz is truncated or damaged"):
        take(archive, tmp_path)


OUT = [
    ([Item("../evil")], "leads out"),
    ([Item("foo/../../evil")], "leads out"),
    ([Item("/evil")], "leads out"),
    ([Item("foo/..\\evil")], "character"),
    ([link("foo/x", "../../evil"), Item("foo/a")], "leads out"),
    ([link("foo/x", "/etc/passwd"), Item("foo/a")], "leads out"),
    ([link("foo/x", ".."), Item("foo/a")], "leads out"),
    ([link("foo/d/e/x", "../../top"), directory("foo/top"), link("foo/y", "d/e/x/../../..")], "leads out"),
    ([directory("foo/d"), link("foo/d/up", ".."), link("foo/a", "d/up/d/up/..")], "leads out"),
    ([directory("foo"), link("foo/x", "../foo-evil"), Item("foo/a")], "leads out"),
    ([link("foo/x", "/tmp"), Item("foo/x/evil")], "is in it twice|no directory"),
    ([Item("foo/x/evil"), link("foo/x", "/tmp")], "is in it twice"),
    ([Item("foo/a"), Item("foo/a")], "is in it twice"),
    ([Item("foo/a"), Item("foo/./a")], "is in it twice"),
    ([Item("foo/a"), Item("foo/a/b")], "no directory"),
    ([Item("foo/" + "n" * 300)], "too long"),
    ([Item("foo" + "/d" * 600)], "too long"),
    ([Item("foo/fifo", type=tarfile.FIFOTYPE)], "neither file, directory nor link"),
    ([Item("foo/dev", type=tarfile.CHRTYPE)], "neither file, directory nor link"),
    ([Item("a/x"), Item("b/x")], "exactly one directory"),
    ([Item("setup.py")], "exactly one directory"),
]


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
@pytest.mark.parametrize(("items", "why"), OUT)
def test_hostile_archives(tmp_path: Path, items: list[Item], why: str, kind: str) -> None:
    archive = tmp_path / f"foo.{kind}"
    if kind == "zip":
        with pytest.warns(UserWarning) if "twice" in why and items[0] == items[-1] else _nothing():
            archive.write_bytes(zipped(items))
    else:
        archive.write_bytes(gzip.compress(tar(items)))
    with pytest.raises(FetchError, match=why) as caught:
        take(archive, tmp_path)
    assert caught.value.exit_code == 30 and archive.name in caught.value.what
    assert sorted(tmp_path.iterdir()) == [archive]


class _nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *exception: object) -> None: ...


@pytest.mark.parametrize(
    "items",
    [
        [hard("foo/x", "../../etc/passwd")],
        [hard("foo/x", "/etc/passwd")],
        [hard("foo/x", "foo/none")],
        [Item("foo/a"), hard("foo/x", "a")],
        [link("foo/l", "a"), hard("foo/x", "foo/l"), Item("foo/a")],
        [Item("foo/b", type=tarfile.BLKTYPE)],
        [Item("foo/s", type=tarfile.GNUTYPE_SPARSE)],
        [Item("foo/s", type=b"Q")],
    ],
)
def test_hostile_members_that_only_tar_has(tmp_path: Path, items: list[Item]) -> None:
    with pytest.raises(FetchError):
        take(write(tmp_path / "foo", items), tmp_path)
    assert not (tmp_path / "out").exists()


def test_hard_links_within(tmp_path: Path) -> None:
    take(write(tmp_path / "foo", [Item("foo/a", b"a"), hard("foo/x", "./foo/a")]), tmp_path)
    assert (tmp_path / "out/x").read_bytes() == b"a"


def test_link_loops_and_chains_within(tmp_path: Path) -> None:
    items = [
        link("foo/a", "b"),
        link("foo/b", "a"),
        link("foo/c", "d"),
        link("foo/d", "sub/e"),
        Item("foo/sub/e", b"e"),
    ]
    take(write(tmp_path / "foo", items), tmp_path)
    assert (tmp_path / "out/c").read_bytes() == b"e"


def test_files_beside_the_top_directory_are_ignored(tmp_path: Path) -> None:
    found = extract(write(tmp_path / "foo", [Item("._foo"), Item("foo/a")]), tmp_path / "out", now=NOW)
    assert found.files == ("a",)


@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz", "tar.zst", "zip"])
@pytest.mark.parametrize(
    "limits",
    [Limits(total=1_000_000), Limits(ratio=10, free=100_000)],
    ids=["total", "ratio"],
)
def test_bombs(tmp_path: Path, kind: str, limits: Limits) -> None:
    archive = write(tmp_path / "foo", [Item(f"foo/{n}", bytes(1_000_000)) for n in range(3)], kind)
    with pytest.raises(FetchError, match="bomb"):
        take(archive, tmp_path, limits)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_too_many_entries(tmp_path: Path, kind: str) -> None:
    archive = write(tmp_path / "foo", [directory(f"foo/{n}") for n in range(20)], kind)
    with pytest.raises(FetchError, match="more than 10 entries"):
        take(archive, tmp_path, Limits(entries=10))


def test_headers_that_would_fill_the_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 1 << 30
    archive = tmp_path / "foo.tar.gz"
    with gzip.open(archive, "wb") as stream:
        stream.write(header.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(8):
            stream.write(bytes(1 << 20))
    with pytest.raises(FetchError, match="headers of one member"):
        take(archive, tmp_path)


@pytest.mark.parametrize(("offset", "form", "value"), [(12, "<L", 1 << 31), (10, "<H", 0xFFFF)])
def test_zip_directories_that_would_fill_the_memory(tmp_path: Path, offset: int, form: str, value: int) -> None:
    data = bytearray(zipped([Item("foo/a")]))
    end = data.rfind(b"PK\x05\x06")
    struct.pack_into(form, data, end + offset, value)
    archive = tmp_path / "foo.zip"
    archive.write_bytes(data)
    with pytest.raises(FetchError, match="entries"):
        take(archive, tmp_path)


def test_encrypted_zip(tmp_path: Path) -> None:
    data = bytearray(zipped([Item("foo/a", b"a")]))
    start = data.find(b"PK\x01\x02")
    data[start + 8] |= 1
    (tmp_path / "foo.zip").write_bytes(data)
    with pytest.raises(FetchError, match="encrypted"):
        take(tmp_path / "foo.zip", tmp_path)


def test_a_zip_that_lies_about_a_size(tmp_path: Path) -> None:
    data = bytearray(zipped([Item("foo/a", b"a" * 1000)]))
    start = data.find(b"PK\x01\x02")
    struct.pack_into("<L", data, start + 24, 10)
    (tmp_path / "foo.zip").write_bytes(data)
    with pytest.raises(FetchError, match="damaged"):
        take(tmp_path / "foo.zip", tmp_path)


def test_a_zip_whose_members_lie_before_its_beginning(tmp_path: Path) -> None:
    archive = write(tmp_path / "x", [Item("x/a", b"a")], "zip")
    data = bytearray(archive.read_bytes())
    at = len(data) - 22 + 16
    data[at : at + 4] = struct.pack("<L", len(data))
    archive.write_bytes(data)
    with pytest.raises(FetchError, match="truncated or damaged"):
        take(archive, tmp_path)


@pytest.mark.parametrize(
    ("mtime", "on_disk"),
    [(0, EARLIEST), (-5, EARLIEST), (1_600_000_000.9, 1_600_000_000), (NOW + 9, NOW), (float("nan"), EARLIEST)],
)
def test_times_are_clamped(tmp_path: Path, mtime: float, on_disk: int) -> None:
    data = tar([Item("foo/a", mtime=0 if mtime != mtime else mtime)])
    if mtime != mtime:
        info = tarfile.TarInfo("foo/a")
        info.pax_headers = {"mtime": "nan"}
        data = info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)
    archive = tmp_path / "foo.tar.gz"
    archive.write_bytes(gzip.compress(data))
    take(archive, tmp_path)
    assert (tmp_path / "out/a").stat().st_mtime == on_disk


@pytest.mark.parametrize(
    ("newest", "epoch"),
    [
        (1_600_000_000, 1_600_000_000),
        (0, EARLIEST),
        (EARLIEST - 1, EARLIEST),
        (EARLIEST, EARLIEST),
        (NOW, NOW),
        (NOW + 1, EARLIEST),
    ],
)
def test_source_date_epoch(newest: int, epoch: int) -> None:
    assert source_date_epoch(newest, NOW) == epoch


@pytest.mark.parametrize(("time", "seconds"), [(1.9, 1), (-0.5, -1), (float("inf"), 0), (float("nan"), 0)])
def test_whole_seconds(time: float, seconds: int) -> None:
    assert whole_seconds(time) == seconds


def test_umask_changes_nothing(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        take(write(tmp_path / "foo", GOOD), tmp_path)
    finally:
        os.umask(old)
    assert (tmp_path / "out/deep").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out/PKG-INFO").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("kind", KINDS)
def test_read_head(tmp_path: Path, kind: str) -> None:
    items = [Item("foo-1.0/sub/PKG-INFO", b"wrong"), *GOOD]
    head = read_head(write(tmp_path / "foo", items, kind))
    assert (head.top, head.pkg_info) == ("foo-1.0", b"Name: foo\n")
    assert read_head(write(tmp_path / "none", GOOD[1:], kind)).pkg_info is None


def test_pack_makes_the_same_bytes_that_extract_reads(tmp_path: Path) -> None:
    def content() -> list[Member]:
        long = "d/" * 100 + "x.py"
        return [
            Member(name="a.py", kind="file", size=1, data=io.BytesIO(b"a"), executable=True),
            Member(name="link", kind="symlink", target="a.py"),
            Member(name=long, kind="file", size=0, data=io.BytesIO()),
            Member(name="na\udcefve", kind="file", size=0, data=io.BytesIO()),
        ]

    archive = tmp_path / "foo.tar"
    with archive.open("wb") as stream:
        pack(stream, content(), top="foo-1", mtime=1_600_000_000)
    # A golden digest: other bytes would be another source for every pin that exists.
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == GOLDEN
    found = extract(archive, tmp_path / "out", now=NOW)
    assert found.newest_mtime == 1_600_000_000 and len(found.files) == 4
    assert os.access(found.root / "a.py", os.X_OK) and (found.root / "link").is_symlink()


GOLDEN = "85fa3b677aab426aed692e8427d9cf679eb92915aa2fd2e6bf95016331ad43b6"


def test_memory_stays_small_with_a_large_member(tmp_path: Path) -> None:
    block = random.Random(1).randbytes(1 << 20)
    info = tarfile.TarInfo("foo/big")
    info.size = 300 << 20
    archive = tmp_path / "foo.tar.gz"
    with gzip.open(archive, "wb", compresslevel=0) as stream:
        stream.write(info.tobuf())
        for _ in range(300):
            stream.write(block)
        stream.write(bytes(1024))
    code = (
        "import re, sys; from pathlib import Path; from pybuilder.sources.archive import extract;"
        f"extract(Path({str(archive)!r}), Path({str(tmp_path / 'out')!r}), now={NOW});"
        # Not ru_maxrss, which counts what the process was before it became this program: a copy of the test runner.
        "print(re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 150 * 1024
