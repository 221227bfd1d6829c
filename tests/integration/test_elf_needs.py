"""ELF needs against rpm's own tool, and mapped to the RPMs of a locked distribution."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from pybuilder.buildroot import complete, parse_buildroot
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.lockfile import Lock
from pybuilder.rpm.lock import Locker
from pybuilder.rpm.provides import providers
from pybuilder.rpm.requests import Request, requests
from pybuilder.store import Store
from pybuilder.system_requires import Installation, SystemRequires, system_requires
from pybuilder.wheel.canonical import canonicalise
from pybuilder.wheel.elf import read_elf
from tests.support.distribution import Distribution, definition, distribution, missing_tools
from tests.support.wheels import EPOCH, Draft

BASE = ("bash", "coreutils", "python3")
EXT = """
const char *xmlParserVersion(void); int xsltInit(void); int BZ2_bzCompress(void *stream, int action);
int run(void) { xmlParserVersion(); xsltInit(); return BZ2_bzCompress(0, 0); }
"""


@pytest.fixture(scope="module")
def made() -> Distribution:
    if missing := missing_tools():
        pytest.fail(missing)
    return distribution()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("distribution")


@pytest.fixture(scope="module")
def lock(made: Distribution, home: Path) -> Lock:
    made.copy_keys(home)
    text = definition(made, packages=["gcc", "python3-devel", "libxml2-devel", "libxslt-devel"])
    buildroot = complete(parse_buildroot(text, "buildroots/fedora-test.toml"), python=made.python, arch="x86_64")
    layout = Layout(root=home / "state")
    with Client() as client:
        locker = Locker(layout=layout, store=Store(layout), client=client, home=home, report=lambda text: None)
        asked = [Request(rpm=name, place="specs/lxml.toml") for name in ("libxml2", "libxslt")]
        return locker.lock(buildroot, (*requests(buildroot, ()), *asked), old=None).lock


@pytest.fixture(scope="module")
def files(lock: Lock, home: Path) -> Mapping[str, Path]:
    """The locked RPMs."""
    store = Store(Layout(root=home / "state"))
    return {name: file for name, rpm in lock.rpms.items() if (file := store.rpm(rpm.sha256))}


def payload(directory: Path, files: Mapping[str, bytes]) -> Path:
    directory.mkdir(exist_ok=True)
    draft = Draft(files=files, executable=files, tag="cp311-cp311-linux_x86_64")
    canonicalise(draft.write(directory), directory / "payload.whl", epoch=EPOCH)
    return directory / "payload.whl"


def of_rpm(kind: str, file: Path) -> set[str]:
    tool = subprocess.run(["rpm", "--eval", "%{_rpmconfigdir}/elfdeps"], capture_output=True, text=True).stdout.strip()
    argv = [tool, f"--{kind}", "--no-filter-soname", file]
    return set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())


def test_rpm_says_the_same_of_real_libraries_extensions_and_programs(tmp_path: Path) -> None:
    libraries = Path("/usr/lib", sysconfig.get_config_var("MULTIARCH") or "../lib64")
    found = [*sorted(libraries.glob("*.so.*"))[::9], *Path(sysconfig.get_path("stdlib"), "lib-dynload").glob("*.so")]
    found += [Path(program) for name in ("git", "gcc", "rpm") if (program := shutil.which(name))]
    by_name = {f"{path.parent.name}/{path.name}": path for path in found}
    read = read_elf(payload(tmp_path, {name: path.read_bytes() for name, path in by_name.items()}), arch="x86_64")
    assert read.problems == () and len(read.files) > 50
    for file in read.files:
        copy = tmp_path / Path(file.name).name
        copy.write_bytes(by_name[file.name].read_bytes())
        copy.chmod(0o755)
        assert (file.name, set(file.requires)) == (file.name, of_rpm("requires", copy))
        assert (file.name, set(file.provides)) == (file.name, of_rpm("provides", copy))


def test_providers_are_what_rpm_says_and_are_known_at_once(files: Mapping[str, Path]) -> None:
    some = dict(sorted(files.items())[:110])
    began = time.perf_counter()
    found = providers(some)
    assert time.perf_counter() - began < 0.3
    for name, file in sorted(some.items())[::10]:
        argv = ["rpm", "-qp", "--nosignature", "--qf", "[%{PROVIDENAME}\\n]", file]
        listed = set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines())
        assert {each for each, names in found.items() if name in names} == listed


@pytest.fixture(scope="module")
def needs(files: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[str, ...]]:
    """The needs of a wheel that is linked to libraries of the distribution."""
    import rpm_rs

    home = tmp_path_factory.mktemp("wheel")
    libraries = []
    for name, library in [("libxml2", "libxml2.so.2"), ("libxslt", "libxslt.so.1"), ("bzip2-libs", "libbz2.so.1")]:
        rpm_rs.Package.open(str(files[name])).extract(str(home / name))
        libraries += list((home / name).rglob(library))
    (home / "ext.c").write_text(EXT)
    argv = ["gcc", "-shared", "-fPIC", "ext.c", "-o", "etree.so", *libraries, "-Wl,--unresolved-symbols=ignore-all"]
    subprocess.run(argv, cwd=home, check=True)
    files_ = {"lxml/etree.so": (home / "etree.so").read_bytes(), "lxml/__init__.py": b""}
    return read_elf(payload(home, files_), arch="x86_64").needs


def compare(
    lock: Lock, files: Mapping[str, Path], needs: Mapping[str, tuple[str, ...]], declared: tuple[str, ...]
) -> SystemRequires:
    there = Installation(lock=lock, base=BASE, system=declared, beside=())
    return system_requires("lxml", needs, declared=declared, providers=providers(files), installation=there)


def test_the_rpms_that_a_wheel_needs_and_those_that_are_missing(
    lock: Lock, files: Mapping[str, Path], needs: Mapping[str, tuple[str, ...]]
) -> None:
    assert "libxml2.so.2(LIBXML2_2.4.30)(64bit)" in needs
    found = compare(lock, files, needs, ())
    assert {"glibc", "libxml2", "libxslt"} < {rpm.name for rpm in found.rpms}
    assert {rpm.name for rpm in found.missing} == {"libxml2", "libxslt"}
    assert found.problems()[-1] == (
        "lxml needs libxslt.so.1 (lxml/etree.so), which the RPM libxslt has: "
        "add it to [system] runtime in specs/lxml.toml"
    )
    cured = compare(lock, files, needs, ("libxslt", "libxml2"))
    assert (cured.problems(), cured.hints()) == ((), ())
    document = json.loads(json.dumps(cured.document(lock)))
    entry = next(rpm for rpm in document["rpms"] if rpm["name"] == "libxslt")
    assert entry["sha256"] == lock.rpms["libxslt"].sha256
    assert entry["files"] == ["lxml/etree.so"] and "libxslt.so.1()(64bit)" in entry["provides"]
    assert document["runtime"] == ["libxml2", "libxslt"]


def test_a_library_that_no_rpm_of_the_build_has(
    lock: Lock, files: Mapping[str, Path], needs: Mapping[str, tuple[str, ...]]
) -> None:
    without = {name: file for name, file in files.items() if name != "libxslt"}
    found = compare(lock, without, needs, ("libxml2",))
    assert list(found.unprovided) == [need for need in needs if need.startswith("libxslt")]
    assert found.problems()[0].startswith("lxml needs libxslt.so.1 (lxml/etree.so), which neither")
