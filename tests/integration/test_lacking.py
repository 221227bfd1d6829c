"""A failed build names the RPM that it lacked: in real builds of the test distribution, and among RPMs made for it."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pybuilder.buildroot import complete, parse_buildroot
from pybuilder.http import Client
from pybuilder.lacking import Lack
from pybuilder.layout import Layout
from pybuilder.lockfile import Lock
from pybuilder.rpm.lacking import Search, advice
from pybuilder.rpm.repositories import find, load
from pybuilder.store import Store
from tests.support.distribution import missing_tools
from tests.support.fedora import LINKED, NAME, fedora_bench, lock
from tests.support.repositories import Fake, write_repository
from tests.support.rpms import build_rpm
from tests.support.rpms import locked as locked_rpm
from tests.support.workspaces import Bench, bench

INCLUDES = """
import subprocess
with open("x.c", "w") as stream:
    stream.write("#include <ffi.h>\\nint main(void) { return 0; }\\n")
subprocess.run(["gcc", "x.c", "-o", "x"], check=True)
"""
LINKS = """
import subprocess
with open("x.c", "w") as stream:
    stream.write("int main(void) { return 0; }\\n")
subprocess.run(["gcc", "x.c", "-o", "x", "-lxslt"], check=True)
"""
CALLS = 'import subprocess\nsubprocess.run(["ninja", "--version"], check=True)\n'
CALLS_IN_A_SHELL = (
    'import subprocess\nsubprocess.run("cmake --version | cat; exit ${PIPESTATUS[0]}", shell=True, check=True)\n'
)
ASKS = 'import subprocess\nsubprocess.run(["pkg-config", "--print-errors", "--exists", "yaml-0.1"], check=True)\n'
CANNOT = 'raise SystemExit("cannot find -lno-such-library")\n'


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    if missing := missing_tools():
        pytest.fail(missing)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One bench for all, since its roots take seconds; each test lacks another RPM."""
    with fedora_bench(tmp_path_factory.mktemp("lacking")) as made:
        made.accept("other", spec='[system]\nbuild = ["libyaml-devel"]\nruntime = ["libyaml"]\n')
        lock(made)
        yield made


class TestBuilds:
    def fails(self, here: Bench, name: str) -> str:
        """What a failed build says that is to be done."""
        ran = here.pybuild("build", name)
        assert ran.code == 10, ran.stderr
        [cure] = re.findall(r"^ +do: (.*)$", ran.stderr, re.MULTILINE)
        return cure

    def succeeds(self, here: Bench, name: str, *rpms: str, locked: bool) -> None:
        """Do as told, and build again."""
        here.spec(name, f"[system]\nbuild = {json.dumps(rpms)}\n")
        if not locked:
            lock(here)
        assert here.build(name).built() == [f"{name}==1.0+pb.1"]

    @pytest.mark.parametrize(
        ("name", "act", "rpm", "lacked"),
        [
            ("includes", INCLUDES, "libffi-devel", "ffi.h"),
            ("links", LINKS, "libxslt-devel", "-lxslt"),
            ("calls", CALLS, "ninja-build", "ninja"),
            ("calls-in-a-shell", CALLS_IN_A_SHELL, "cmake", "cmake"),
        ],
    )
    def test_an_rpm_that_is_not_locked(self, here: Bench, name: str, act: str, rpm: str, lacked: str) -> None:
        here.accept(name, act=act)
        told = f"{rpm} ({lacked}): add it to [system] build in specs/{name}.toml, then: pybuild buildroot lock {NAME}"
        assert self.fails(here, name).removeprefix("it may lack ").removeprefix("it lacks ") == told
        self.succeeds(here, name, rpm, locked=False)

    def test_an_rpm_that_another_spec_has(self, here: Bench) -> None:
        here.accept("linked", static=False, act=LINKED)
        cure = "it lacks libyaml-devel (yaml.h): add it to [system] build in specs/linked.toml"
        assert self.fails(here, "linked") == cure
        here.spec("linked", '[system]\nbuild = ["libyaml-devel"]\nruntime = ["libyaml"]\n')
        assert here.build("linked").built() == ["linked==1.0+pb.1"]

    def test_a_program_and_then_what_it_looks_for(self, here: Bench) -> None:
        here.accept("asks", act=ASKS)
        first = "it lacks pkgconf (pkg-config): add it to [system] build in specs/asks.toml, then: "
        assert self.fails(here, "asks") == f"{first}pybuild buildroot lock {NAME}"
        here.spec("asks", '[system]\nbuild = ["pkgconf"]\n')
        lock(here)
        then = "it lacks libyaml-devel (yaml-0.1): add it to [system] build in specs/asks.toml"
        assert self.fails(here, "asks") == then
        self.succeeds(here, "asks", "libyaml-devel", "pkgconf", locked=True)

    def test_what_no_rpm_has(self, here: Bench) -> None:
        here.accept("cannot", act=CANNOT)
        assert self.fails(here, "cannot") == (
            "it lacks -lno-such-library: add an RPM that has it to [system] build, "
            "or a package to [build] add-requires, in specs/cannot.toml"
        )

    def test_another_failure_is_not_put_down_to_rpms(self, here: Bench) -> None:
        here.accept("broken", act='raise ValueError("no")')
        assert self.fails(here, "broken").startswith("read the log: pybuild log ")


def test_on_the_host(tmp_path: Path) -> None:
    with bench(tmp_path) as here:
        here.accept("cannot", act=CANNOT)
        ran = here.pybuild("-b", "host", "build", "cannot")
    assert ran.code == 10
    assert "  do: it lacks -lno-such-library: install the package that has it\n" in ran.stderr


REPOSITORY = (
    Fake(name="libthing-devel", provides=["pkgconfig(thing-2.0)", "cmake(Thing)"]),
    Fake(name="thing-tools", files=["/usr/bin/thing"]),
    Fake(name="thing-tools-extra-devel", provides=["pkgconfig(thing-2.0)"]),
    Fake(name="admin", files=["/usr/sbin/admin"]),
    Fake(name="old-devel", provides=["pkgconfig(old)"], arch="i686"),
    Fake(name="bad-devel", provides=["pkgconfig(bad)"]),
    Fake(name="zlib-devel", provides=["pkgconfig(zlib)"]),
    Fake(name="libjpeg-turbo-devel"),
)
DEFINITION = """
name = "f"
distribution = "x"
release = "1"
arch = "x86_64"
pythons = ["3.11"]
packages = ["base"]
[repositories.r]
baseurl = "{url}"
gpgcheck = false
exclude = ["bad-*"]
"""
FILES: Mapping[str, list[str]] = {
    "base": ["/usr/include/base.h", "/usr/bin/base"],
    "libyaml-devel": ["/usr/include/yaml.h", "/usr/lib64/libyaml.so"],
    "aaa-devel": ["/usr/include/aaa/yaml.h", "/usr/lib64/aaa/libyaml.so", "/usr/include/aaa/only.h"],
}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Search:
    """A lock of three RPMs, in the store, over a repository that has others; the build had the first."""
    home = tmp_path_factory.mktemp("search")
    repository = write_repository(home / "repository", REPOSITORY, files=False)
    definition = DEFINITION.format(url=repository.as_uri())
    buildroot = complete(parse_buildroot(definition, "buildroots/f.toml"), python="3.11", arch="x86_64")
    layout = Layout(root=home / "state")
    store = Store(layout)
    rpms = {}
    for name, files in FILES.items():
        file = build_rpm(home / name, name, files=dict.fromkeys(files, "x"))
        rpms[name] = locked_rpm(file)
        (layout.downloads).mkdir(parents=True, exist_ok=True)
        store.add_rpm(Path(shutil.move(file, layout.downloads)), sha256=rpms[name].sha256, name=file.name)
    with Client() as client:
        import solv

        found = find("r", buildroot.repositories["r"], client)
        load(solv.Pool(), found, client, layout)
    lock = Lock(
        buildroot="f",
        arch="x86_64",
        repositories={"r": found.repomd},
        answers={"base": "base", "libyaml-devel": "libyaml-devel"},
        rpms=rpms,
    )
    return Search(buildroot=buildroot, lock=lock, store=store, layout=layout, there={"base"})


class TestSearch:
    def ask(self, known: Search, *lacks: tuple[str, str], sure: bool = True) -> list[tuple[str, bool]]:
        asked = [Lack(kind=kind, name=name, sure=sure) for kind, name in lacks]  # type: ignore[arg-type]
        return [(answer.rpm, answer.sure) for answer in known.answers(asked)]

    @pytest.mark.parametrize(
        ("kind", "name", "rpm", "sure"),
        [
            ("header", "yaml.h", "libyaml-devel", True),
            ("header", "only.h", "aaa-devel", True),
            ("library", "yaml", "libyaml-devel", True),
            ("pkgconfig", "thing-2.0", "libthing-devel", True),
            ("cmake", "Thing", "libthing-devel", True),
            ("program", "thing", "thing-tools", True),
            ("program", "admin", "admin", True),
            ("header", "thing/x.h", "libthing-devel", False),
            ("library", "z", "zlib-devel", False),
            ("library", "jpeg", "libjpeg-turbo-devel", False),
            ("header", "jpeglib.h", "libjpeg-turbo-devel", False),
            ("cmake", "ZLIB", "zlib-devel", False),
            ("pkgconfig", "old", "", True),
            ("pkgconfig", "bad", "", True),
            ("program", "no-such", "", True),
            ("program", "z", "", True),
            ("header", "no/such.h", "", True),
        ],
    )
    def test_which_rpm_has_it(self, known: Search, kind: str, name: str, rpm: str, sure: bool) -> None:
        assert self.ask(known, (kind, name)) == [(rpm, sure)]

    def test_what_was_there_was_not_lacking(self, known: Search) -> None:
        assert self.ask(known, ("header", "base.h"), ("program", "base")) == []

    def test_doubts_count_where_nothing_else_is_known(self, known: Search) -> None:
        doubts = [Lack(kind="program", name=name, sure=False) for name in ("thing", "LICENSE")]
        sure = [Lack(kind="header", name=name, sure=True) for name in ("yaml.h", "base.h")]
        assert [answer.rpm for answer in known.answers([*doubts, *sure])] == ["libyaml-devel"]
        assert [(answer.rpm, answer.sure) for answer in known.answers([*doubts, sure[1]])] == [("thing-tools", False)]

    def test_a_lock_from_elsewhere_still_has_names(self, known: Search, tmp_path: Path) -> None:
        layout = Layout(root=tmp_path)
        search = Search(
            buildroot=known.buildroot, lock=known.lock, store=Store(layout), layout=layout, there=known.there
        )
        assert self.ask(search, ("header", "yaml.h"), ("header", "aaa.h")) == [
            ("libyaml-devel", False),
            ("aaa-devel", False),
        ]

    @pytest.mark.parametrize("damage", ["rpm", "list"])
    def test_damage_is_no_failure_of_its_own(self, known: Search, tmp_path: Path, damage: str) -> None:
        shutil.copytree(known.layout.root, tmp_path / "state")
        layout = Layout(root=tmp_path / "state")
        rpm = Store(layout).rpm(known.lock.rpms["libyaml-devel"].sha256)
        assert rpm
        file = rpm if damage == "rpm" else layout.repodata(known.lock.repositories["r"])
        file.write_bytes(file.read_bytes()[:100])
        search = Search(
            buildroot=known.buildroot, lock=known.lock, store=Store(layout), layout=layout, there=known.there
        )
        expected = (
            [("aaa-devel", True), ("libthing-devel", True)]
            if damage == "rpm"
            else [("libyaml-devel", True), ("", True)]
        )
        assert self.ask(search, ("header", "yaml.h"), ("cmake", "Thing")) == expected

    def test_it_takes_no_time(self, known: Search) -> None:
        begun = time.process_time()
        self.ask(known, ("header", "yaml.h"), ("cmake", "Thing"), ("program", "no-such"))
        assert time.process_time() - begun < 0.2

    @pytest.mark.parametrize(
        ("lacks", "sentence"),
        [
            ([], ""),
            (
                [("header", "yaml.h"), ("library", "yaml")],
                "it lacks libyaml-devel (yaml.h, -lyaml): add it to [system] build in specs/p.toml",
            ),
            (
                [("header", "yaml.h"), ("program", "thing"), ("library", "z")],
                "it lacks libyaml-devel (yaml.h) and thing-tools (thing) and may lack zlib-devel (-lz): "
                "add them to [system] build in specs/p.toml, then: pybuild buildroot lock f",
            ),
            (
                [("program", "thing"), ("header", "no/such.h"), ("program", "no-such")],
                "it lacks no/such.h and no-such: add an RPM that has them to [system] build, "
                "or a package to [build] add-requires, in specs/p.toml; it lacks thing-tools (thing): "
                "add it to [system] build in specs/p.toml, then: pybuild buildroot lock f",
            ),
        ],
    )
    def test_in_words(self, known: Search, lacks: list[tuple[str, str]], sentence: str) -> None:
        asked = [Lack(kind=kind, name=name, sure=True) for kind, name in lacks]  # type: ignore[arg-type]
        assert advice(known.answers(asked), package="p", lock=known.lock) == sentence
