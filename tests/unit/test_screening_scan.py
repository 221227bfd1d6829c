"""What is found in a source and in a patch: at any depth that is looked at, and never without end."""

from __future__ import annotations

import base64
import gzip
import hashlib
import lzma
import tracemalloc
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from pybuilder.errors import FetchError
from pybuilder.files import CHUNK
from pybuilder.interruption import Interruption
from pybuilder.screening import found as found_module
from pybuilder.screening import patches
from pybuilder.screening.formats import HEAD
from pybuilder.screening.found import Findings
from pybuilder.screening.patches import made_by
from pybuilder.screening.scan import Bounds, scan_patch, scan_source
from pybuilder.sources.limits import Limits
from tests.support.sdists import tar_bytes
from tests.unit.test_screening_formats import zip_bytes

ELF = b"\x7fELF\x02\x01\x01" + bytes(57)


def scanned(tmp_path: Path, files: Mapping[str, bytes], *, bounds: Bounds | None = None) -> Findings:
    archive = tmp_path / "x-1.tar.gz"
    archive.write_bytes(gzip.compress(tar_bytes({"PKG-INFO": b"Name: x\n", **files}, top="x-1")))
    (tmp_path / "spool").mkdir(exist_ok=True)
    result = scan_source(archive, lambda: tmp_path / "spool", bounds=bounds)
    assert list((tmp_path / "spool").iterdir()) == []
    return result


def paths(findings: Findings) -> dict[str, str]:
    return {each.path: each.format for each in findings.files}


def notes(findings: Findings) -> dict[str, str]:
    return {each.path: each.note for each in findings.files}


class TestSource:
    def test_nothing_in_a_source_of_text(self, tmp_path: Path) -> None:
        assert scanned(tmp_path, {"a.py": b"x = 1\n", "lib.so": b"this is a text\n"}) == Findings(unlisted={})

    @pytest.mark.parametrize("size", [400, HEAD - 1, HEAD, HEAD + 1])
    def test_a_small_application_is_known_by_its_end(self, tmp_path: Path, size: int) -> None:
        application = b"#!/bin/sh\n" + bytes(size) + zip_bytes(a=b"a")
        for data, formats in ((application[-size:], ["zip after other bytes"]), (application[:size], [])):
            findings = scanned(tmp_path, {"a": data})
            assert [each.format for each in findings.files] == formats
            assert all(each.sha256 == hashlib.sha256(data).hexdigest() for each in findings.files)

    def test_a_library_under_any_name_with_its_digest(self, tmp_path: Path) -> None:
        [found] = scanned(tmp_path, {"tests/data/readme.txt": ELF}).files
        assert (found.path, found.kind, found.format) == ("tests/data/readme.txt", "compiled", "ELF")
        assert (found.size, found.sha256, found.note) == (64, hashlib.sha256(ELF).hexdigest(), "")

    def test_a_large_file_is_read_to_its_end(self, tmp_path: Path) -> None:
        large = ELF + bytes(3 << 20)
        application = b"#!/bin/sh\n" + b"#" * (2 << 20) + zip_bytes(a=b"a")
        findings = scanned(tmp_path, {"a": large, "b": application, "c": b"x" * (3 << 20)})
        assert [(each.size, each.sha256) for each in findings.files] == [
            (len(data), hashlib.sha256(data).hexdigest()) for data in (large, application)
        ]
        assert paths(findings) == {"a": "ELF", "b": "zip after other bytes"}
        assert notes(findings) == {"a": "", "b": "pybuild opens no zip after other bytes"}

    def test_an_end_is_seen_whatever_is_read_at_a_time(self, tmp_path: Path) -> None:
        application = zip_bytes(a=b"a")
        files = {f"{n}": b"#" * (HEAD + CHUNK + n - len(application)) + application for n in (0, 1, 21, 22)}
        assert paths(scanned(tmp_path, files)) == dict.fromkeys(files, "zip after other bytes")

    def test_it_can_be_interrupted(self, tmp_path: Path) -> None:
        interruption = Interruption()
        with interruption.heard(), pytest.raises(KeyboardInterrupt):
            interruption.tell()
            scanned(tmp_path, {"a": ELF})

    def test_what_is_in_archives_and_in_archives_in_these(self, tmp_path: Path) -> None:
        deepest = zip_bytes(lib=ELF)
        inner = zip_bytes(**{"deep.zip": deepest, "lib": ELF})
        outer = zip_bytes(**{"in.zip": inner, "a.py": b"x"})
        findings = scanned(tmp_path, {"t/out.whl": outer})
        assert paths(findings) == {
            "t/out.whl": "zip",
            "t/out.whl!/in.zip": "zip",
            "t/out.whl!/in.zip!/deep.zip": "zip",
            "t/out.whl!/in.zip!/lib": "ELF",
        }
        assert {path: note for path, note in notes(findings).items() if note} == {
            "t/out.whl!/in.zip!/deep.zip": "it is too deep in archives"
        }

    def test_tars_and_what_is_only_compressed(self, tmp_path: Path) -> None:
        tar = tar_bytes({"lib": ELF}, top="d")
        files = {
            "a.tar": tar,
            "b.tgz": gzip.compress(tar),
            "c.tar.xz": lzma.compress(tar),
            "d.o.gz": gzip.compress(ELF),
        }
        assert paths(scanned(tmp_path, {**files, "e": gzip.compress(b"")})) == {
            "a.tar": "tar",
            "a.tar!/d/lib": "ELF",
            "b.tgz": "gzip",
            "b.tgz!/d/lib": "ELF",
            "c.tar.xz": "xz",
            "c.tar.xz!/d/lib": "ELF",
            "d.o.gz": "gzip",
            "d.o.gz!/d.o": "ELF",
            "e": "gzip",
        }

    def test_what_can_not_be_opened_is_told_all_the_same(self, tmp_path: Path) -> None:
        whole = zip_bytes(lib=ELF)
        locked = bytearray(whole)
        at = whole.index(b"PK\x01\x02")
        locked[at + 8] |= 1
        files = {
            "cut.gz": gzip.compress(ELF * 9)[:-12],
            "cut.zip": whole[:-9],
            "locked.zip": bytes(locked),
            "a.7z": b"7z\xbc\xaf\x27\x1c\0\4",
        }
        told = notes(scanned(tmp_path, files))
        assert told["a.7z"] == "pybuild opens no 7z"
        assert told["locked.zip"] == "it is refused: 'lib' is encrypted"
        assert "truncated" in told["cut.gz"] and "truncated" in told["cut.zip"]

    def test_names_of_strangers_are_printable(self, tmp_path: Path) -> None:
        [outer, inner] = scanned(tmp_path, {"a.zip": zip_bytes(**{"\x1b[31m\nx": ELF})}).files
        assert inner.path == "a.zip!/\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}x"
        assert outer.path == "a.zip"

    def test_no_more_comes_out_of_archives_than_is_allowed(self, tmp_path: Path) -> None:
        bomb = zip_bytes(a=bytes(300_000), b=bytes(300_000))
        files = {"1.zip": bomb, "2.gz": gzip.compress(bytes(600_000)), "3.so": ELF}
        told = notes(scanned(tmp_path, files, bounds=Bounds(size=500_000)))
        too_much = "too much is in the archives of this source to look at all of it"
        assert told == {"1.zip": too_much, "2.gz": too_much, "3.so": ""}

    def test_nor_more_files_or_archives(self, tmp_path: Path) -> None:
        many = {"1.zip": zip_bytes(a=b"a", b=b"b", c=ELF), "2.zip": zip_bytes(a=ELF)}
        assert [bool(note) for note in notes(scanned(tmp_path, many, bounds=Bounds(entries=2))).values()] == [
            True,
            True,
        ]
        assert notes(scanned(tmp_path, many, bounds=Bounds(archives=1)))["2.zip"]
        assert "1.zip!/c" in notes(scanned(tmp_path, many, bounds=Bounds(archives=1)))

    def test_a_source_that_is_a_bomb_itself_is_refused(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x-1/a", bytes(1 << 20))
        with pytest.raises(FetchError, match="a bomb"):
            scan_source(tmp_path / "x.zip", lambda: tmp_path, limits=Limits(free=1000))

    def test_a_damaged_source_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "x.tar.gz").write_bytes(gzip.compress(tar_bytes({"a": b"a" * 9999}, top="x"))[:-20])
        with pytest.raises(FetchError, match="truncated or damaged"):
            scan_source(tmp_path / "x.tar.gz", lambda: tmp_path)

    def test_a_wheel_has_no_directory_at_its_top(self, tmp_path: Path) -> None:
        wheel = tmp_path / "x-1-py3-none-any.whl"
        wheel.write_bytes(zip_bytes(**{"x/_c.so": ELF, "y.py": b""}))
        assert paths(scan_source(wheel, lambda: tmp_path, wheel=True)) == {"x/_c.so": "ELF"}

    def test_so_many_are_counted_instead_of_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(found_module, "LISTED", 2)
        findings = scanned(tmp_path, {f"{n}": ELF for n in range(4)} | {"9": b"7z\xbc\xaf\x27\x1c"})
        assert (len(findings.files), findings.unlisted) == (2, {"compiled": 2, "archive": 1})
        assert Findings.from_json(findings.as_json) == findings


def base85(data: bytes) -> bytes:
    """A file as git writes it into a binary patch."""
    packed = zlib.compress(data)
    lines = []
    for at in range(0, len(packed), 52):
        piece = packed[at : at + 52]
        letter = chr(len(piece) + (64 if len(piece) <= 26 else 70)).encode()
        lines.append(letter + base64.b85encode(piece, pad=True))
    return b"GIT binary patch\nliteral %d\n%s\n\nliteral 0\nHcmV?d00001\n\n" % (len(data), b"\n".join(lines))


HEADER = b"diff --git a/%s b/%s\nnew file mode 100644\nindex 0000000..1111111\n"


class TestPatch:
    def scan(self, tmp_path: Path, patch: bytes) -> Findings:
        (tmp_path / "0001.patch").write_bytes(patch)
        return scan_patch(tmp_path / "0001.patch", lambda: tmp_path)

    def test_a_binary_file_is_what_it_unpacks_to(self, tmp_path: Path) -> None:
        library = ELF + bytes(range(256)) * 9
        patch = b"Subject: six\n\n" + HEADER % (b"d/l.bin", b"d/l.bin") + base85(library) + b"-- \n2.39\n"
        [found] = self.scan(tmp_path, patch).files
        assert (found.path, found.format) == ("d/l.bin", "ELF")
        assert (found.size, found.sha256) == (len(library), hashlib.sha256(library).hexdigest())

    def test_a_binary_file_that_is_no_code_is_none(self, tmp_path: Path) -> None:
        assert self.scan(tmp_path, HEADER % (b"a.png", b"a.png") + base85(b"\x89PNG\r\n\x1a\n" + bytes(99))).files == ()

    def test_a_binary_file_that_is_too_large_is_not_unpacked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(patches, "_LARGEST", 1000)
        patch = HEADER % (b"a", b"a") + base85(b"text" * 1000)
        assert paths(self.scan(tmp_path, patch)) == {"a": "binary difference"}

    def test_an_archive_in_a_patch_is_looked_into(self, tmp_path: Path) -> None:
        patch = HEADER % (b"a.zip", b"a.zip") + base85(zip_bytes(lib=ELF))
        assert paths(self.scan(tmp_path, patch)) == {"a.zip": "zip", "a.zip!/lib": "ELF"}

    @pytest.mark.parametrize(
        "body",
        [
            b"delta 12\nTcmZ>n000310RR91\n",
            b"literal 9\nTcmZ>n00031\n",
            b"literal 9\n\x7f\n",
            b"literal 9\nA\n",
            b"what\n",
        ],
        ids=["difference", "cut", "no letter", "empty line", "neither"],
    )
    def test_what_nobody_can_tell_counts_as_code(self, tmp_path: Path, body: bytes) -> None:
        patch = b"diff --git a/x.bin b/x.bin\nindex 1..2 100644\nGIT binary patch\n" + body + b"\n"
        [found] = self.scan(tmp_path, patch).files
        assert (found.path, found.kind, found.format) == ("x.bin", "compiled", "binary difference")

    def test_a_new_text_that_is_none(self, tmp_path: Path) -> None:
        tail = bytes(40) + b"\nx\n"
        patch = b"--- /dev/null\n+++ b/lib/x.txt\t2026-01-01\n@@ -0,0 +1,2 @@\n+\x7fELF\x02" + tail[:-2] + b"+x\n"
        [found] = self.scan(tmp_path, patch).files
        assert (found.path, found.format, found.size) == ("lib/x.txt", "ELF", 5 + len(tail))

    @pytest.mark.parametrize("old", [b"a/lib/x.so", b"a/lib/x.so\t1970-01-01 00:00:00.000000000 +0000"])
    def test_a_new_file_need_not_be_called_new(self, tmp_path: Path, old: bytes) -> None:
        """git-apply makes the file all the same."""
        patch = b"--- " + old + b"\n+++ b/lib/x.so\n@@ -0,0 +1 @@\n+\x7fELF\x02\n"
        assert paths(self.scan(tmp_path, patch)) == {"lib/x.so": "ELF"}

    def test_a_new_text_without_a_newline_at_its_end(self, tmp_path: Path) -> None:
        patch = b"--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+\x7fELF\x02\n\\ No newline at end of file\n"
        [found] = self.scan(tmp_path, patch).files
        assert (found.size, found.sha256) == (5, hashlib.sha256(b"\x7fELF\x02").hexdigest())

    def test_a_text_that_is_changed_is_left_to_people(self, tmp_path: Path) -> None:
        patch = b"--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n-a\n+\x7fELF\x02\n b\n"
        assert self.scan(tmp_path, patch).files == ()
        assert list(made_by(patch)) == []

    def test_lines_in_a_hunk_are_no_headers(self, tmp_path: Path) -> None:
        patch = b"--- /dev/null\n+++ b/a\n@@ -0,0 +1,3 @@\n+--- /dev/null\n++++ b/c\n+GIT binary patch\n"
        [made] = made_by(patch)
        assert (made.path, made.content) == ("a", b"--- /dev/null\n+++ b/c\nGIT binary patch\n")


def test_memory_does_not_grow_with_what_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x-1/big", bytes(32 << 20))
    tracemalloc.start()
    scanned(tmp_path, {"a.zip": (tmp_path / "x.zip").read_bytes()})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20
