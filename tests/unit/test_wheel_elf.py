"""ELF files of payloads: made by gcc, and broken by hand."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import pytest

from pybuilder.errors import BuildError
from pybuilder.processes import install_command
from pybuilder.wheel import elf
from pybuilder.wheel.canonical import canonicalise
from pybuilder.wheel.elf import ElfFiles, read_elf
from tests.support.wheels import EPOCH, Draft

SOURCES = {
    "lib.c": 'int old(void) { return 1; }\nint new(void) { return 2; }\n__asm__(".symver old,old@V_1");\n',
    "lib.map": "V_1 { };\nV_2 { global: new; local: *; } V_1;\n",
    "ext.c": '#include <stdio.h>\nint new(void);\nint run(void) { printf("%d", new()); return 0; }\n',
    "plain.c": '#include <stdio.h>\nint run(void) { return puts("x"); }\n',
    "main.c": "int main(void) { return 0; }\n",
}
COMMANDS = """
    gcc -shared -fPIC -Wl,-soname,libdemo.so.1 -Wl,--version-script=lib.map lib.c -o libdemo.so.1
    gcc -shared -fPIC ext.c -o ext.so ./libdemo.so.1 -Wl,-rpath,$ORIGIN
    gcc -shared -fPIC plain.c -o plain.so
    gcc -static main.c -o static
    gcc main.c -o dynamic
    gcc -c main.c -o object.so
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    assert shutil.which("gcc"), install_command("gcc")
    home = tmp_path_factory.mktemp("elf")
    for name, text in SOURCES.items():
        (home / name).write_text(text)
    for command in COMMANDS.strip().splitlines():
        subprocess.run(command.split(), cwd=home, check=True)
    return {path.name: path.read_bytes() for path in home.iterdir()}


def read(tmp_path: Path, files: Mapping[str, bytes], *, executable: tuple[str, ...] = ()) -> ElfFiles:
    """Read a payload of these files, for x86_64."""
    draft = Draft(files=files, executable=executable, tag="cp311-cp311-linux_x86_64")
    canonicalise(draft.write(tmp_path), tmp_path / "payload.whl", epoch=EPOCH)
    return read_elf(tmp_path / "payload.whl", arch="x86_64")


def test_where_there_is_none_nothing_that_reads_them_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "elfdeps", None)
    assert read(tmp_path, {"demo/a.so": b"no ELF", "demo/__init__.py": b""}) == ElfFiles(files=(), problems=())


def test_needs_are_spelled_as_rpm_spells_them_and_say_who_has_them(made: Mapping[str, bytes], tmp_path: Path) -> None:
    found = read(tmp_path, {"demo/ext.so": made["ext.so"], "demo/plain.so": made["plain.so"]})
    assert found.problems == ()
    assert [file.name for file in found.files] == ["demo/ext.so", "demo/plain.so"]
    assert found.needs["libdemo.so.1()(64bit)"] == ("demo/ext.so",)
    assert found.needs["libdemo.so.1(V_2)(64bit)"] == ("demo/ext.so",)
    assert found.needs["libc.so.6()(64bit)"] == ("demo/ext.so", "demo/plain.so")
    assert found.needs["libc.so.6(GLIBC_2.2.5)(64bit)"] == ("demo/ext.so", "demo/plain.so")
    assert list(found.needs) == sorted(found.needs)


def test_what_the_wheel_itself_has_is_no_need(made: Mapping[str, bytes], tmp_path: Path) -> None:
    found = read(tmp_path, {"demo/ext.so": made["ext.so"], "demo.libs/libdemo.so.1": made["libdemo.so.1"]})
    assert {"libdemo.so.1()(64bit)", "libdemo.so.1(V_2)(64bit)"} <= found.provides
    assert not [need for need in found.needs if need.startswith("libdemo")]
    assert "libc.so.6()(64bit)" in found.needs


def test_a_bundled_library_without_the_version_that_is_needed_does_not_count(
    made: Mapping[str, bytes], tmp_path: Path
) -> None:
    other = made["libdemo.so.1"].replace(b"V_2\0", b"V_3\0")
    found = read(tmp_path, {"ext.so": made["ext.so"], "libdemo.so.1": other})
    assert [need for need in found.needs if need.startswith("libdemo")] == ["libdemo.so.1(V_2)(64bit)"]


def test_a_library_without_soname_goes_by_its_file_name(made: Mapping[str, bytes], tmp_path: Path) -> None:
    (file,) = read(tmp_path, {"demo/plain.so": made["plain.so"]}).files
    assert file.provides == ("plain.so()(64bit)",)


def test_programs(made: Mapping[str, bytes], tmp_path: Path) -> None:
    """Scripts become executable when they are installed; what is not executable is data."""
    tool = "demo-1.0.data/scripts/tool"
    files = {"demo/static": made["static"], tool: made["dynamic"], "demo/data": made["dynamic"], "demo/sh": b"#!sh\n"}
    found = read(tmp_path, files, executable=("demo/static", "demo/sh"))
    assert [file.name for file in found.files] == [tool, "demo/static"]
    assert set(found.needs.values()) == {(tool,)}
    assert "libc.so.6(GLIBC_2.34)(64bit)" in found.needs


def test_what_is_neither_loaded_nor_run_is_left_alone(made: Mapping[str, bytes], tmp_path: Path) -> None:
    files = {"a.so": b"", "libb.so": b"INPUT(-lb)\n", "object.so": made["object.so"], "ext.txt": made["ext.so"]}
    assert read(tmp_path, files) == ElfFiles(files=(), problems=())


def test_another_architecture_is_told(made: Mapping[str, bytes], tmp_path: Path) -> None:
    arm = bytearray(made["ext.so"])
    arm[18:20] = struct.pack("<H", 183)
    found = read(tmp_path, {"demo/arm.so": bytes(arm), "demo/plain.so": made["plain.so"]})
    assert found.problems == ("demo/arm.so is an ELF file for AARCH64, not for x86_64",)
    assert [file.name for file in found.files] == ["demo/plain.so"]


def test_names_that_would_lie_in_a_terminal_are_refused(made: Mapping[str, bytes], tmp_path: Path) -> None:
    found = read(tmp_path, {"ext.so": made["ext.so"].replace(b"libdemo.so.1\0", b"lib\x1b[2Jmo.so\0")})
    assert found.problems == ("ext.so names a library as no file is called: 'lib\\x1b[2Jmo.so()(64bit)'",)


def test_a_cut_off_file_is_told_wherever_it_was_cut(made: Mapping[str, bytes], tmp_path: Path) -> None:
    whole = made["ext.so"]
    ends = sorted({*range(4, 70), *range(70, len(whole), 397)})
    found = read(tmp_path, {f"{end:06}.so": whole[:end] for end in ends})
    assert found.files == ()
    told = "begins as an ELF file and can't be read as one"
    assert found.problems[0] == f"000004.so {told}"
    assert found.problems[-1] == f"and {len(ends) - 20} more ELF files are no better"


@pytest.mark.parametrize("seed", range(8))
def test_damage_anywhere_ends_in_a_sentence_or_in_names(made: Mapping[str, bytes], tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    files = {}
    for number in range(40):
        data = bytearray(made[dice.choice(["ext.so", "libdemo.so.1", "dynamic"])])
        (start,) = struct.unpack_from("<Q", data, 40)
        for _ in range(dice.randrange(1, 12)):
            # The headers of the file and of its sections, where damage does the most.
            data[dice.choice([dice.randrange(16, 64), dice.randrange(start, len(data))])] = dice.randrange(256)
        files[f"{number}.so"] = bytes(data)
    found = read(tmp_path, files)
    assert all(sentence.partition(" ")[2] for sentence in found.problems)
    assert all(need.isprintable() for need in found.needs)


def test_tables_without_end_take_neither_time_nor_memory(
    made: Mapping[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elf, "MAX_READS", 100_000)
    data = bytearray(made["ext.so"])
    header, offset = section(data, 0x6FFFFFFE)  # SHT_GNU_verneed
    struct.pack_into("<I", data, header + 44, 0xFFFFFFFF)  # sh_info: how many libraries
    struct.pack_into("<I", data, offset + 12, 0)  # vn_next: the next one is this one
    began = time.monotonic()
    assert read(tmp_path, {"a.so": bytes(data)}).problems == ("a.so is an ELF file whose tables have no end",)
    assert time.monotonic() - began < 10


def test_a_name_without_end_is_not_kept_in_memory(made: Mapping[str, bytes], tmp_path: Path) -> None:
    data = bytearray(made["ext.so"])
    header, _ = section(data, 3)  # SHT_STRTAB, .dynstr is the first
    struct.pack_into("<Q", data, header + 24, len(data))  # sh_offset
    big = bytes(data) + b"A" * (20 << 20)
    draft = Draft(files={"a.so": big}, tag="cp311-cp311-linux_x86_64").write(tmp_path)
    canonicalise(draft, tmp_path / "payload.whl", epoch=EPOCH)
    tracemalloc.start()
    found = read_elf(tmp_path / "payload.whl", arch="x86_64")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.problems == ("a.so is an ELF file whose tables have no end",)
    assert peak < 40 << 20


def test_more_sections_than_there_can_be(made: Mapping[str, bytes], tmp_path: Path) -> None:
    data = bytearray(made["ext.so"])
    (start,) = struct.unpack_from("<Q", data, 40)
    struct.pack_into("<H", data, 60, 0)  # e_shnum: see sh_size of the first section
    struct.pack_into("<Q", data, start + 32, 1 << 63)
    found = read(tmp_path, {"a.so": bytes(data)})
    assert found.problems == ("a.so begins as an ELF file and can't be read as one",)


def test_only_payloads_are_read(made: Mapping[str, bytes], tmp_path: Path) -> None:
    wheel = Draft(files={"ext.so": made["ext.so"]}).write(tmp_path)
    with pytest.raises(BuildError, match=r"no payload: ext\.so is compressed"):
        read_elf(wheel, arch="x86_64")


def section(data: bytearray, kind: int) -> tuple[int, int]:
    """Where the first section header of a type is, and where its section is."""
    (start,) = struct.unpack_from("<Q", data, 40)
    (count,) = struct.unpack_from("<H", data, 60)
    for header in range(start, start + 64 * count, 64):
        if struct.unpack_from("<I", data, header + 4)[0] == kind:
            return header, struct.unpack_from("<Q", data, header + 24)[0]
    raise AssertionError(f"no section of type {kind:#x}")
