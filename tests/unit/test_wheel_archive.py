import io
import zipfile

import pytest

from pybuilder.wheel import archive
from pybuilder.wheel.archive import ArchiveWriter, moment_of


def written(entries, *, compress=False, moment=(2020, 9, 13, 12, 26, 40)):
    stream = io.BytesIO()
    writer = ArchiveWriter(stream, moment=moment, compress=compress)
    for name, data, executable in entries:
        writer.add(name, [data[:3], data[3:]], size=len(data), executable=executable)
    writer.close()
    return stream.getvalue()


ENTRIES = [("a.py", b"print(1)\n" * 99, False), ("bin/ü", b"", True), ("z", b"\0" * 70_000, False)]


@pytest.mark.parametrize("compress", [False, True])
def test_a_standard_reader_sees_what_was_written(compress):
    with zipfile.ZipFile(io.BytesIO(written(ENTRIES, compress=compress))) as file:
        assert file.testzip() is None
        assert [(i.filename, file.read(i), oct(i.external_attr >> 16)) for i in file.infolist()] == [
            (name, data, "0o100755" if executable else "0o100644") for name, data, executable in ENTRIES
        ]
        assert {i.date_time for i in file.infolist()} == {(2020, 9, 13, 12, 26, 40)}
        assert {i.create_system for i in file.infolist()} == {3}


def test_stored_entries_have_the_bytes_that_zipfile_writes():
    """Where zipfile has nothing to choose, the two agree: ours is no dialect."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data, executable in ENTRIES:
            info = zipfile.ZipInfo(name, (2020, 9, 13, 12, 26, 40))
            info.external_attr = (0o100755 if executable else 0o100644) << 16
            file.writestr(info, data)
    assert written(ENTRIES) == stream.getvalue()


@pytest.mark.parametrize("compress", [False, True])
def test_zip64_fields_are_read_back(monkeypatch, compress):
    """The limits are lowered, so that a small archive needs every ZIP64 field."""
    monkeypatch.setattr(archive, "_ZIP64_SIZE", 10)
    data = written(ENTRIES, compress=compress)
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert file.testzip() is None
        assert [file.read(name) for name, _, _ in ENTRIES] == [data for _, data, _ in ENTRIES]


def test_more_entries_than_the_old_end_record_can_count():
    names = [(f"f{number}", b"", False) for number in range(65_536)]
    data = written(names)
    assert b"PK\x06\x06" in data  # the ZIP64 end record, which zipfile itself does not miss
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert len(file.infolist()) == 65_536


def test_a_file_that_changed_its_size_is_refused():
    writer = ArchiveWriter(io.BytesIO(), moment=(2020, 1, 1, 0, 0, 0), compress=False)
    with pytest.raises(ValueError, match="a: 2 bytes instead of 3"):
        writer.add("a", [b"12"], size=3, executable=False)


@pytest.mark.parametrize(
    ("epoch", "moment"),
    [
        (0, (1980, 1, 1, 0, 0, 0)),
        (315619200, (1980, 1, 2, 0, 0, 0)),
        (1_600_000_001, (2020, 9, 13, 12, 26, 41)),
        (10**11, (2107, 12, 31, 23, 59, 58)),
    ],
)
def test_times_are_utc_and_within_what_dos_can_say(epoch, moment, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    assert moment_of(epoch) == moment
