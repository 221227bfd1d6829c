"""Small archives are read once, and nobody can tell."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuilder.errors import FetchError
from pybuilder.sources import kept, whole
from pybuilder.sources.limits import Limits
from pybuilder.sources.members import Member, damage, loaded_members
from pybuilder.sources.members import members as streamed
from tests.support.archives import COMPRESSIONS, EVERY_KIND, Item, directory, tar, zipped


@pytest.fixture(autouse=True)
def shelf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept yet."""
    monkeypatch.setattr(kept, "_SHELF", kept._Shelf())


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the archives that were read from disk, as often as they were."""
    names: list[str] = []

    def counted(archive: Path, limits: Limits) -> Iterator[Member]:
        names.append(archive.name)
        return streamed(archive, limits)

    def loaded(archive: Path, most: int) -> Iterator[Member]:
        names.append(archive.name)
        return loaded_members(archive, most)

    monkeypatch.setattr(kept, "streamed", counted)
    monkeypatch.setattr(whole, "loaded_members", loaded)
    return names


def described(members: Iterator[Member]) -> list[tuple[object, ...]]:
    found = []
    for each in members:
        data = None if each.data is None else (each.data.read(2), each.data.read(1 << 20), each.data.read(1))
        found.append((each.name, each.kind, each.executable, each.mtime, each.size, each.target, data))
    return found


def contents(archive: Path, limits: Limits | None = None) -> list[tuple[object, ...]]:
    with damage(archive):
        return described(kept.members(archive, limits or Limits()))


@pytest.mark.parametrize("form", [*COMPRESSIONS, "zip"])
def test_what_is_kept_is_what_is_there(tmp_path: Path, form: str, read: list[str]) -> None:
    archive = tmp_path / f"x.{form}"
    plain = [item for item in EVERY_KIND if form != "zip" or item.name != "x-1/hard"]
    archive.write_bytes(zipped(plain) if form == "zip" else COMPRESSIONS[form](tar(plain)))
    there = described(streamed(archive, Limits()))
    assert len(there) == len(plain)
    assert [contents(archive) for _ in range(3)] == [there] * 3
    assert len(read) == 1


def test_by_what_it_holds_and_not_by_its_name(tmp_path: Path, read: list[str]) -> None:
    archive = tmp_path / "x.tar"
    for data in (b"one", b"two", b"one"):
        archive.write_bytes(tar([Item("x-1/a", data)]))
        [(_, _, _, _, _, _, content)] = contents(archive)
        assert content == (data[:2], data[2:], b"")
    archive.rename(tmp_path / "other.tar")
    contents(tmp_path / "other.tar")
    assert read == ["x.tar", "x.tar"]


def test_whoever_stops_early_spoils_it_for_nobody(tmp_path: Path, read: list[str]) -> None:
    archive = tmp_path / "x.tar"
    archive.write_bytes(tar(EVERY_KIND))
    first = next(kept.members(archive, Limits()))
    assert first.name == "x-1"
    assert len(contents(archive)) == len(EVERY_KIND)
    assert len(read) == 1


def test_what_is_damaged_is_told_where_it_is_met(tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    archive.write_bytes(tar(EVERY_KIND)[:1500])
    for _ in range(2):
        met = []
        with pytest.raises(FetchError, match="truncated or damaged"), damage(archive):
            for member in kept.members(archive, Limits()):
                met.append(member.name)
                if member.data:
                    member.data.read()
        assert met == ["x-1", "x-1/one"]


def test_what_is_large_is_a_stream_each_time(tmp_path: Path, read: list[str]) -> None:
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(COMPRESSIONS["tar.gz"](tar([Item("x-1/big", bytes(kept.LARGEST)), Item("x-1/a", b"a")])))
    for _ in range(3):
        assert [member.name for member in kept.members(archive, Limits())] == ["x-1/big", "x-1/a"]
    assert len(read) == 4  # the first time it was tried


def test_with_limits_of_ones_own_nothing_is_kept(tmp_path: Path, read: list[str]) -> None:
    archive = tmp_path / "x.tar"
    archive.write_bytes(tar(EVERY_KIND))
    for _ in range(2):
        contents(archive, Limits(entries=10))
    assert len(read) == 2


def test_the_oldest_makes_room(tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_ROOM", 3 * kept.BESIDE)
    archives = [tmp_path / f"{name}.tar" for name in "abcd"]
    for archive in archives:
        archive.write_bytes(tar([Item(f"x-1/{archive.name}")]))
    for archive in (*archives[:3], archives[0], archives[3], archives[0], archives[1]):
        contents(archive)
    assert read == ["a.tar", "b.tar", "c.tar", "d.tar", "b.tar"]


def pax(name: str, data: bytes, **headers: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo(name)
        info.size, info.pax_headers = len(data), dict(headers)
        archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


STRANGE = {
    "nothing": b"",
    "zeros": bytes(10240),
    "no end": tar(EVERY_KIND).rstrip(b"\0"),
    "cut in data": tar(EVERY_KIND)[:1800],
    "cut in a header": tar(EVERY_KIND)[:700],
    "rubbish after its end": tar(EVERY_KIND) + b"rubbish" * 1000,
    "a bad header": tar(EVERY_KIND)[:512] + b"x" * 512 + tar(EVERY_KIND)[512:],
    "bad headers only": b"x" * 257 + b"ustar" + b"x" * 1000,
    "long names": tar([directory("x-1"), Item(f"x-1/{'long/' * 40}a", b"a"), Item("x-1/b", b"b")]),
    "pax headers": pax("x-1/a", b"abc", path="x-1/other", mtime="nan", comment="hallo"),
    "another size by pax": pax("x-1/a", b"abc", size="2"),
    "a size that is none": pax("x-1/a", b"abc", size="-1"),
    "large headers": pax("x-1/a", b"abc", comment="x" * (2 << 20)),
    "a device": tar([Item("x-1/a", b"a"), Item("x-1/null", type=tarfile.CHRTYPE)]),
    "sparse": tar([Item("x-1/a", b"a"), Item("x-1/b", type=tarfile.GNUTYPE_SPARSE)]),
}


@pytest.mark.parametrize("form", ["tar", "tar.gz"])
@pytest.mark.parametrize("what", STRANGE)
def test_what_is_strange_is_judged_as_in_a_stream(tmp_path: Path, what: str, form: str) -> None:
    archive = tmp_path / f"x.{form}"
    archive.write_bytes(COMPRESSIONS[form](STRANGE[what]))

    def judged(members: Iterator[Member]) -> tuple[list[tuple[object, ...]], str]:
        found = []
        try:
            with damage(archive):
                for member in members:
                    found += described(iter([member]))
        except FetchError as error:
            return found, str(error)
        return found, ""

    assert judged(kept.members(archive, Limits())) == judged(streamed(archive, Limits()))
