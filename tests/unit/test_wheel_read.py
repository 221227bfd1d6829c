import os
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from packaging.version import Version

from pybuilder.errors import BuildError
from pybuilder.wheel import read
from pybuilder.wheel.filename import WheelName
from pybuilder.wheel.read import open_archive, open_wheel, pieces
from pybuilder.wheel.record import Line, parse, render
from tests.support.wheels import DAMAGED, NASTY, Draft


def test_a_wheel_is_seen_without_being_unpacked(tmp_path):
    wheel = open_wheel(Draft(tag="py2.py3-none-any", executable=["demo/__init__.py"]).write(tmp_path))
    assert wheel.filename == WheelName(name="demo", version=Version("1.0"), build="", tag="py2.py3-none-any")
    assert wheel.filename.tags == ("py2-none-any", "py3-none-any")
    assert (wheel.prefix, wheel.dist_info) == ("demo-1.0", "demo-1.0.dist-info")
    assert next((e.name, e.size, e.executable) for e in wheel.entries) == ("demo/__init__.py", 10, True)
    assert wheel.field("tag") == ["py2-none-any", "py3-none-any"]
    assert wheel.metadata.startswith(b"Metadata-Version")
    assert wheel.record.endswith(b"RECORD,,\n")
    assert wheel.moment == (2024, 1, 2, 3, 4, 6)


def test_a_wheel_without_entry_points_has_empty_ones(tmp_path):
    assert open_wheel(Draft().write(tmp_path)).entry_points() == b""
    text = "[console_scripts]\ndemo = demo:main\n"
    assert open_wheel(Draft(entry_points=text).write(tmp_path)).entry_points() == text.encode()


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("Demo.Pkg", "Demo.Pkg-1.0"), ("demo_pkg", "DEMO-pkg-1.0.0"), ("demo_pkg", "demo-pkg-1.0")],
)
def test_dist_info_may_be_spelled_in_any_way(tmp_path, name, prefix):
    wheel = open_wheel(Draft(name=name, prefix=prefix).write(tmp_path))
    assert wheel.prefix == prefix
    assert wheel.filename.prefix == "demo_pkg-1.0"


@pytest.mark.parametrize("kind", NASTY)
def test_nasty_wheels_are_refused_by_name(tmp_path, kind):
    make, message = NASTY[kind]
    with pytest.raises(BuildError) as caught:
        open_wheel(make(tmp_path))
    assert message in caught.value.what
    assert caught.value.where
    assert caught.value.cure


def test_all_reasons_are_given_at_once(tmp_path):
    draft = Draft(prefix="other-1.0", files={"/a": b"", "b\\c": b""}, wheel=None)
    with pytest.raises(BuildError) as caught:
        open_wheel(draft.write(tmp_path))
    for reason in ("'/a'", "backslash", "does not agree", "has no other-1.0.dist-info/WHEEL"):
        assert reason in caught.value.what


def test_a_thousand_reasons_are_cut_short(tmp_path):
    with pytest.raises(BuildError, match="and 980 more"):
        open_wheel(Draft(files={f"/{number}": b"" for number in range(1000)}).write(tmp_path))


@pytest.mark.parametrize(
    ("limit", "message"), [("MAX_ENTRIES", "more than 3 files"), ("MAX_SIZE", "GiB"), ("MAX_METADATA", "MiB")]
)
def test_bombs_are_refused_before_anything_is_read(tmp_path, monkeypatch, limit, message):
    monkeypatch.setattr(read, limit, 3)
    with pytest.raises(BuildError, match=message):
        open_wheel(Draft().write(tmp_path))


def test_damage_shows_when_the_file_is_read(tmp_path):
    path = DAMAGED(tmp_path)
    open_wheel(path)
    with pytest.raises(BuildError, match=r"demo-1\.0-py3-none-any\.whl is damaged"), open_archive(path) as archive:
        list(pieces(archive, "demo/__init__.py"))


def test_directory_entries_are_no_files(tmp_path):
    path = Draft().write(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.mkdir("demo")
    assert all(not entry.name.endswith("/") for entry in open_wheel(path).entries)


@pytest.mark.parametrize("name", ["a", 'a "quoted", name', "ü", "with\nline"])
def test_record_lines_come_back(name):
    lines = (Line(name, "sha256=x", "1"), Line("RECORD", "", ""))
    assert parse(render(lines)) == lines


@pytest.mark.parametrize(
    ("data", "message"), [(b"a,b\n", "2 fields"), (b'"a"b,,\n', "expected after"), (b"\xff,,\n", "utf-8")]
)
def test_a_bad_record_says_what_is_bad(data, message):
    with pytest.raises(ValueError, match=message):
        parse(data)


def test_one_that_has_not_changed_is_read_once(tmp_path, monkeypatch):
    path = Draft(files={"demo.py": b"1"}).write(tmp_path)
    first = open_wheel(path)
    monkeypatch.setattr(read, "open_archive", None)
    assert open_wheel(path) is first


def test_one_that_has_changed_is_read_again_whatever_its_time_says(tmp_path):
    path = Draft(files={"demo.py": b"1"}).write(tmp_path)
    before, seen = path.stat(), open_wheel(path)
    time.sleep(0.02)  # the kernel's clock goes on in steps
    # In the same file, of the same size, and at the same time.
    changed = path.read_bytes().replace(b"demo.py", b"demy.py")
    with path.open("r+b") as stream:
        stream.write(changed)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [entry.name for entry in open_wheel(path).entries][:1] == ["demy.py"]
    with open_archive(path) as archive:
        assert archive.namelist()[:1] == ["demy.py"]
    assert [entry.name for entry in seen.entries][:1] == ["demo.py"]


@pytest.fixture
def unpacked(monkeypatch):
    """The names of the entries that were unpacked, as often as they were."""
    names = []
    unpack = zipfile.ZipFile.open

    def counted(archive, entry, mode="r", *arguments, **options):
        names.extend([entry.filename] if mode == "r" else [])
        return unpack(archive, entry, mode, *arguments, **options)

    monkeypatch.setattr(zipfile.ZipFile, "open", counted)
    return names


def contents(path):
    """Of all entries, in order; twice from the beginning, and once a part of it."""
    with open_archive(path) as archive:
        found = [b"".join(pieces(archive, info)) for info in archive.infolist()]
        assert [archive.read(info) for info in archive.infolist()] == found
        for info, content in zip(archive.infolist(), found, strict=True):
            with archive.open(info) as stream:
                assert stream.read(1) == content[:1]
    return found


def test_what_was_read_of_a_small_one_stays(tmp_path, unpacked):
    path = Draft(files={"demo.py": b"1", "empty.py": b""}).write(tmp_path)
    first = contents(path)
    assert first[:2] == [b"1", b""]
    assert contents(path) == first
    assert len(unpacked) == len(first)


@pytest.mark.parametrize("size", ["of the file", "of what is in it"])
def test_what_was_read_of_a_large_one_does_not(tmp_path, unpacked, monkeypatch, size):
    monkeypatch.setattr(read, "_SMALL", 10_000)
    path = Draft(files={"demo.py": bytes(1000 if size == "of the file" else 1 << 20)}).write(tmp_path)
    if size == "of the file":
        # A zip's end says where it begins.
        path.write_bytes(bytes(10_000) + path.read_bytes())
    else:
        assert path.stat().st_size < 10_000
    first = contents(path)
    assert contents(path) == first
    assert len(unpacked) == 6 * len(first)


def test_two_entries_of_one_name_are_two(tmp_path):
    path = tmp_path / "demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("demo.py", b"one")
        archive.writestr("demo.py", b"other")
    assert contents(path) == [b"one", b"other"]


def test_damage_shows_each_time(tmp_path):
    path = DAMAGED(tmp_path)
    for _ in range(2):
        with pytest.raises(BuildError, match="is damaged"), open_archive(path) as archive:
            archive.read("demo/__init__.py")


def test_many_read_at_once(tmp_path, monkeypatch):
    path = Draft(files={f"{number}.py": bytes([number]) * number for number in range(20)}).write(tmp_path)
    unpack, inside = zipfile.ZipFile.open, []

    def alone(archive, *arguments, **options):
        # zipfile counts what is open without a lock.
        inside.append(None)
        time.sleep(0.001)
        assert len(inside) == 1
        inside.pop()
        return unpack(archive, *arguments, **options)

    monkeypatch.setattr(zipfile.ZipFile, "open", alone)
    with open_archive(path), ThreadPoolExecutor(8) as pool:
        found = list(pool.map(contents, [path] * 8))
    assert all(each[:20] == [bytes([number]) * number for number in range(20)] for each in found)
