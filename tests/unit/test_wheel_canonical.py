import random
import zipfile

import pytest

from pybuilder.errors import BuildError
from pybuilder.wheel import read, rewrite
from pybuilder.wheel.canonical import canonicalise
from pybuilder.wheel.check import problems
from pybuilder.wheel.record import parse
from tests.support.wheels import DAMAGED, EPOCH, NASTY, Draft, digest, random_draft

DRAFT = Draft(
    files={
        "demo/__init__.py": b"1\n",
        "demo.py": b"",
        "z/tool": b"#!python\n",
        "demo-1.0.data/scripts/x": b"#!python\n",
    },
    executable=["z/tool"],
    build="2",
)


def payload_of(draft, directory, name="payload.whl", epoch=EPOCH):
    directory.mkdir(exist_ok=True)
    return canonicalise(draft.write(directory), directory / name, epoch=epoch)


def infos_of(path):
    with zipfile.ZipFile(path) as archive:
        return archive.infolist()


def test_the_form_of_a_payload(tmp_path):
    payload = payload_of(DRAFT, tmp_path)
    infos = infos_of(tmp_path / "payload.whl")
    assert [info.filename for info in infos] == [
        "demo-1.0.data/scripts/x",
        "demo.py",
        "demo/__init__.py",
        "z/tool",
        "demo-1.0.dist-info/METADATA",
        "demo-1.0.dist-info/WHEEL",
        "demo-1.0.dist-info/RECORD",
    ]
    assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED}
    assert {info.date_time for info in infos} == {(2020, 9, 13, 12, 26, 40)}
    assert [info.filename for info in infos if info.external_attr >> 16 == 0o100755] == ["z/tool"]
    assert {info.external_attr >> 16 for info in infos} == {0o100755, 0o100644}
    assert payload.filename == "demo-1.0-py3-none-any.whl"
    assert payload.tags == ("py3-none-any",)
    assert payload.size == (tmp_path / "payload.whl").stat().st_size


def test_the_bytes_of_a_payload_are_a_contract(tmp_path):
    """If this digest changes, every payload changes: raise CANONICALISER_VERSION, and have a good reason."""
    expected = "aede3d93b3e032985443bb15e146654bb55401a6c554c1e4c507d8920aa05b02"
    assert payload_of(DRAFT, tmp_path).sha256 == expected


def test_a_large_wheel_has_the_same_payload_though_it_is_not_held_in_memory(tmp_path, monkeypatch):
    small = payload_of(DRAFT, tmp_path)
    for module in (read, rewrite):
        monkeypatch.setattr(module, "IN_MEMORY", 0)
    large = payload_of(DRAFT, tmp_path, "large.whl")
    assert large == small
    assert (tmp_path / "large.whl").read_bytes() == (tmp_path / "payload.whl").read_bytes()


def test_only_the_contents_matter(tmp_path, monkeypatch):
    """Order, times, compression, umask bits, who made the zip, directories and signatures leave no trace."""
    first = payload_of(DRAFT, tmp_path / "a")
    source = DRAFT.write(tmp_path)
    contents = list(DRAFT.contents().items())
    random.Random(1).shuffle(contents)
    with zipfile.ZipFile(source, "w") as archive:
        archive.mkdir("demo")
        for name, data in contents:
            info = zipfile.ZipInfo(name, (1999, 1, 1, 0, 0, 0))
            info.create_system = 0
            info.external_attr = (0o100700 if name == "z/tool" else 0o100600) << 16
            archive.writestr(info, data)
        archive.writestr("demo-1.0.dist-info/RECORD.jws", b"{}")
        archive.writestr("demo-1.0.dist-info/RECORD.p7s", b"")
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    assert canonicalise(source, tmp_path / "b.whl", epoch=EPOCH) == first


def test_an_odd_second_is_an_even_one(tmp_path):
    assert payload_of(DRAFT, tmp_path, epoch=EPOCH).sha256 == payload_of(DRAFT, tmp_path, epoch=EPOCH + 1).sha256
    assert payload_of(DRAFT, tmp_path, epoch=EPOCH).sha256 != payload_of(DRAFT, tmp_path, epoch=EPOCH + 2).sha256


@pytest.mark.parametrize("seed", range(30))
def test_a_payload_is_a_sound_wheel_and_its_own_payload(tmp_path, seed):
    payload = payload_of(random_draft(seed), tmp_path)
    path = (tmp_path / "payload.whl").rename(tmp_path / payload.filename)
    assert problems(path, name=payload.name, version=payload.version) == ()
    assert canonicalise(path, tmp_path / "again.whl", epoch=EPOCH).sha256 == payload.sha256


def test_build_tag_and_line_are_dropped_and_nothing_else_of_wheel(tmp_path):
    wheel = b"Wheel-Version: 1.0\r\nBuild: 2\r\nRoot-Is-Purelib: true\r\nX-Build: kept\r\nTag: py3-none-any"
    payload = payload_of(Draft(build="2", wheel=wheel), tmp_path)
    with zipfile.ZipFile(tmp_path / "payload.whl") as archive:
        assert archive.read("demo-1.0.dist-info/WHEEL") == wheel.replace(b"Build: 2\r\n", b"", 1)
    assert payload.filename == "demo-1.0-py3-none-any.whl"


def test_record_is_made_anew(tmp_path):
    payload_of(Draft(record=b"nonsense", files={'demo/a, "b".py': b"x"}), tmp_path)
    with zipfile.ZipFile(tmp_path / "payload.whl") as archive:
        lines = parse(archive.read("demo-1.0.dist-info/RECORD"))
        assert [line.path for line in lines] == archive.namelist()
    assert lines[0].digest == digest(b"x")
    assert (lines[0].size, lines[-1].digest, lines[-1].size) == ("1", "", "")


def test_directories_get_the_name_that_the_file_has(tmp_path):
    """PyPA's installer looks for the data directory by the file's name, uv by dist-info's."""
    files = {"Demo.Pkg-1.0.data/scripts/x": b"", "demo_pkg/__init__.py": b""}
    payload = payload_of(Draft(name="Demo.Pkg", files=files), tmp_path)
    assert payload.filename == "demo_pkg-1.0-py3-none-any.whl"
    tops = {info.filename.partition("/")[0] for info in infos_of(tmp_path / "payload.whl")}
    assert tops == {"demo_pkg-1.0.data", "demo_pkg", "demo_pkg-1.0.dist-info"}


@pytest.mark.parametrize("make", [*(make for make, _ in NASTY.values()), DAMAGED])
def test_what_is_refused_leaves_nothing_behind(tmp_path, make):
    source = make(tmp_path)
    with pytest.raises(BuildError):
        canonicalise(source, tmp_path / "payload.whl", epoch=EPOCH)
    assert [path.name for path in tmp_path.iterdir()] == [source.name]
