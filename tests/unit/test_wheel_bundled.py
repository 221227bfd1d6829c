import hashlib
import sysconfig
from pathlib import Path

import pytest

from pybuilder.wheel.bundled import Bundled, read_bundled
from pybuilder.wheel.canonical import canonicalise
from pybuilder.wheel.read import open_wheel
from tests.support.wheels import EPOCH, Draft

ELF = b"\x7fELF" + bytes(100)
MARK = b"rustc version 1.90.0"


def bundled(directory: Path, files: dict[str, bytes], **options: object) -> Bundled:
    scratch = directory / "payload.whl"
    payload = canonicalise(Draft(files=files, **options).write(directory), scratch, epoch=EPOCH)  # type: ignore[arg-type]
    return read_bundled(open_wheel(scratch.rename(directory / payload.filename)))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def stated(name: str, version: str) -> bytes:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: not this\n".encode()


def test_a_plain_wheel_bundles_nothing(tmp_path: Path) -> None:
    assert bundled(tmp_path, {"demo.py": b"x = 1\n"}) == Bundled(packages=(), libraries=(), bills=(), rust=False)


class TestVendoredPackages:
    def test_those_that_state_it_or_are_listed(self, tmp_path: Path) -> None:
        listed = b"""\
CacheControl==0.14.3  # Make sure to update the license
# six==1.0
requests==2.32.5
    idna==3.10
-r more.txt
unpinned>=1
urllib3==1.26.*
typing_extensions == 4.15.0 ; python_version < "4"
"""
        files = {
            "demo/_vendor/vendor.txt": listed,
            "demo/_vendor/idna-3.10.dist-info/METADATA": stated("IDNA", "3.10"),
            "demo/_vendor/old.egg-info/PKG-INFO": stated("old_one", "1.0.0"),
        }
        found = bundled(tmp_path, files).packages
        assert [(each.name, each.version) for each in found] == [
            ("cachecontrol", "0.14.3"),
            ("idna", "3.10"),
            ("old-one", "1.0.0"),
            ("requests", "2.32.5"),
            ("typing-extensions", "4.15.0"),
        ]
        assert found[1].found_in == ("demo/_vendor/idna-3.10.dist-info/METADATA", "demo/_vendor/vendor.txt")
        assert found[1].metadata == stated("IDNA", "3.10")
        assert found[0].found_in == ("demo/_vendor/vendor.txt",)
        assert found[0].metadata == b""

    @pytest.mark.parametrize(
        "path",
        ["demo/tests/data/x-1.0.dist-info/METADATA", "demo/vendor.txt", "demo/_vendor/x/METADATA"],
    )
    def test_what_only_looks_like_one(self, tmp_path: Path, path: str) -> None:
        assert bundled(tmp_path, {path: stated("x", "1.0") + b"x==1.0\n"}).packages == ()

    @pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"Name: x\n\n", stated("-", "1"), stated("x", "one")])
    def test_what_states_no_name_and_version(self, tmp_path: Path, data: bytes) -> None:
        assert bundled(tmp_path, {"demo/_vendor/x.dist-info/METADATA": data}).packages == ()


class TestLibraries:
    def test_shared_ones_and_archives_but_no_extension_modules(self, tmp_path: Path) -> None:
        files = {
            "demo.libs/libssl-3a4b5c6d.so.1.1": ELF,
            "demo.libs/odd-name.so": ELF,
            "demo/lib/libown.so": ELF,
            "demo/libtext.so": b"/* GNU ld script */",
            "demo/_fast.cpython-314-x86_64-linux-gnu.so": ELF,
            "demo/lib/libmath.a": b"!<arch>\nxyz",
            "demo/lib/notes.a": b"no archive",
        }
        found = bundled(tmp_path, files).libraries
        assert [(each.name, each.path) for each in found] == [
            ("libssl.so.1.1", "demo.libs/libssl-3a4b5c6d.so.1.1"),
            ("odd-name.so", "demo.libs/odd-name.so"),
            ("libmath.a", "demo/lib/libmath.a"),
            ("libown.so", "demo/lib/libown.so"),
        ]
        assert {each.sha256 for each in found} == {sha256(ELF), sha256(files["demo/lib/libmath.a"])}

    def test_bills_that_the_backend_made(self, tmp_path: Path) -> None:
        (bill,) = bundled(tmp_path, {"demo-1.0.dist-info/sboms/auditwheel.cdx.json": b"{}"}).bills
        assert (bill.name, bill.path) == ("auditwheel.cdx.json", "sboms/auditwheel.cdx.json")
        assert bill.sha256 == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


class TestRust:
    @pytest.mark.parametrize("at", [0, (1 << 20) - 104 - 7, (1 << 20) - 104, 3 << 20])
    def test_its_mark_is_found_wherever_it_lies(self, tmp_path: Path, at: int) -> None:
        assert bundled(tmp_path, {"demo/_x.abi3.so": ELF + bytes(at) + MARK + bytes(9)}).rust

    def test_a_program_as_well(self, tmp_path: Path) -> None:
        assert bundled(tmp_path, {"demo-1.0.data/scripts/demo": ELF + MARK}).rust

    def test_a_program_among_the_modules_as_well(self, tmp_path: Path) -> None:
        assert bundled(tmp_path, {"demo/bin/demo": ELF + MARK}, executable=("demo/bin/demo",)).rust

    @pytest.mark.parametrize("files", [{"demo/_x.so": ELF}, {"demo/notes.so": MARK}, {"demo/_x.txt": ELF + MARK}])
    def test_nothing_else_is_taken_for_it(self, tmp_path: Path, files: dict[str, bytes]) -> None:
        assert not bundled(tmp_path, files).rust

    @pytest.mark.parametrize(("package", "rust"), [("pydantic_core", True), ("yaml", False)])
    def test_real_modules(self, tmp_path: Path, package: str, rust: bool) -> None:
        [module] = Path(sysconfig.get_path("platlib"), package).glob("_*.so")
        assert bundled(tmp_path, {f"{package}/{module.name}": module.read_bytes()}).rust is rust
