from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder import joint
from pybuilder.errors import EngineError, FetchError, PybuildError, ReviewError, StateError
from pybuilder.facts import Facts
from pybuilder.joint import Offer, Unknown, resolve_jointly
from pybuilder.joint.uv import compile_requirements
from pybuilder.layout import Layout
from pybuilder.state import State
from tests.support.worlds import MARKERS, PYTHON, TableWorld


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def world() -> TableWorld:
    found = TableWorld()
    for version in ("1.0", "1.1", "1.2", "1.2+pb.3", "2.0a1"):
        found.add("foo", version)
    found.add("requests", "2.0", "PySocks!=1.5.7 ; extra == 'socks'", "chardet ; extra == 'use-chardet'", "idna")
    for name in ("pysocks", "chardet", "idna"):
        found.add(name, "1.0")
    found.add("yankable", "1.0")
    found.add("yankable", "1.1", yanked="broken")
    return found


@dataclass
class Solver:
    world: TableWorld
    cache: Path
    constraints: tuple[str, ...] = ()
    preferred: dict[str, tuple[str, ...]] = field(default_factory=dict)
    prereleases: tuple[str, ...] = ()
    facts: Facts | None = None

    def ask(self, *wanted: str) -> dict[str, str] | Unknown:
        """What is chosen, as ``{"foo": "1.0[x,y]"}``."""
        found = resolve_jointly(
            [Requirement(text) for text in wanted],
            self.world,
            constraints=[Requirement(text) for text in self.constraints],
            markers=MARKERS,
            python=PYTHON,
            preferred={NormalizedName(n): [Version(v) for v in vs] for n, vs in self.preferred.items()},
            prereleases=[NormalizedName(name) for name in self.prereleases],
            cache=self.cache,
            facts=self.facts,
        )
        if isinstance(found, Unknown):
            return found
        return {n: f"{v}[{','.join(sorted(extras))}]" if extras else str(v) for n, (v, extras) in found.items()}

    def refused(self, *wanted: str) -> FetchError:
        with pytest.raises(FetchError) as caught:
            self.ask(*wanted)
        error = caught.value
        assert error.exit_code == 30 and error.cure
        for junk in ("127.0.0.1", "py3-none-any", "hint", "\n", "1000", "we can", "you require", "your", "--"):
            assert junk not in error.what, error.what
        return error


@pytest.fixture
def solver(world: TableWorld, cache: Path) -> Solver:
    return Solver(world, cache)


@pytest.mark.parametrize(
    ("wanted", "version"),
    [
        (("foo",), "1.2+pb.3"),
        (("Foo", "foo>=1", "FOO<1.2"), "1.1"),
        (("foo==1.2",), "1.2+pb.3"),
        (("foo===1.2",), "1.2"),
        (("foo===1.2+pb.3",), "1.2+pb.3"),
        (("foo>1.1,<=1.2",), "1.2+pb.3"),
        (("foo", "foo<1 ; sys_platform == 'linux'"), "1.2+pb.3"),
        (("foo==2.0a1",), "2.0a1"),
        (("foo>=2.0a1",), "2.0a1"),
    ],
)
def test_one_package(solver: Solver, wanted: tuple[str, ...], version: str) -> None:
    assert solver.ask(*wanted) == {"foo": version}


def test_uv_is_asked_again_only_where_something_has_changed(
    solver: Solver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs: list[list[str]] = []

    def counted(wanted: list[str], **others: Any) -> Any:
        runs.append(list(wanted))
        return compile_requirements(wanted, **others)

    monkeypatch.setattr(joint, "compile_requirements", counted)
    layout = Layout(root=tmp_path)
    solver.world.add("top", "1", "foo", "late")
    solver.world.add_unknown("late", "1")
    with contextlib.closing(State.open(layout)) as solver.facts:
        for _ in range(2):
            found = solver.ask("top", "requests[socks]")
            assert isinstance(found, Unknown) and [name for name, _ in found.packages] == ["late"]
        assert len(runs) == 1
        solver.world.required["late", Version("1")] = (Requirement("foo<1.2"),)
        first = {"top": "1", "foo": "1.1", "late": "1", "requests": "2.0[socks]", "pysocks": "1.0", "idna": "1.0"}
        assert [solver.ask("top", "requests[socks]") for _ in range(3)] == [first] * 3
        assert len(runs) == 2
        solver.world.add("nobody-asks", "1")
        assert solver.ask("top", "requests[socks]") == first
        assert len(runs) == 2
        solver.constraints = ("foo<1.1",)
        assert solver.ask("top", "requests[socks]") == first | {"foo": "1.0"}
        solver.constraints = ()
        solver.world.add("foo", "1.1.1")
        assert solver.ask("top", "requests[socks]") == first | {"foo": "1.1.1"}
        assert len(runs) == 4
        solver.preferred = {"foo": ("1.0",)}
        assert solver.ask("top", "requests[socks]") == first | {"foo": "1.0"}
        solver.preferred, solver.prereleases = {}, ("requests",)
        assert solver.ask("top", "requests[socks]") == first | {"foo": "1.1.1"}
        assert len(runs) == 6
        solver.world.add("late", "2", "no-such-project")
        assert solver.ask("top", "requests[socks]") == first | {"foo": "1.1.1"}
        solver.world.add("late", "3", "foo>9")
        solver.constraints = ("late>=2",)
        for _ in range(2):
            solver.refused("top")
        assert len(runs) == 9


def test_extras_are_united(solver: Solver) -> None:
    solver.world.add("a", "1", "requests[socks]")
    solver.world.add("b", "1", "Requests[Use_Chardet]", "a")
    solver.world.add("c", "1", "requests>=1")
    assert solver.ask("a", "c") == {"a": "1", "c": "1", "requests": "2.0[socks]", "pysocks": "1.0", "idna": "1.0"}
    assert solver.ask("b", "c") == {
        "a": "1",
        "b": "1",
        "c": "1",
        "requests": "2.0[socks,use-chardet]",
        "pysocks": "1.0",
        "chardet": "1.0",
        "idna": "1.0",
    }
    assert solver.ask("requests", "requests[socks]", "requests[socks]") == {
        "requests": "2.0[socks]",
        "pysocks": "1.0",
        "idna": "1.0",
    }


def test_an_extra_that_does_not_exist_adds_nothing(solver: Solver) -> None:
    assert solver.ask("requests[nope]") == {"requests": "2.0[nope]", "idna": "1.0"}


def test_markers_and_names_are_those_of_the_target(solver: Solver) -> None:
    solver.world.add("Foo.Bar", "1", "foo<1.2 ; sys_platform == 'plan9'", "gone ; sys_platform == 'linux'")
    assert solver.ask("foo_bar") == {"foo-bar": "1", "foo": "1.1"}
    assert solver.ask("foo-bar ; platform_machine == 'x86_64'") == {}


def test_cycles(solver: Solver) -> None:
    solver.world.add("a", "1", "b")
    solver.world.add("b", "1", "a[x]", "foo")
    assert solver.ask("a") == {"a": "1[x]", "b": "1", "foo": "1.2+pb.3"}


def test_constraints_bind_only_what_is_needed(solver: Solver) -> None:
    solver.constraints = ("foo[x]<1.1", "absent>3", "idna<1 ; sys_platform == 'linux'")
    assert solver.ask("foo", "idna") == {"foo": "1.0", "idna": "1.0"}


def test_tools_of_packaging_are_packages_like_others(solver: Solver) -> None:
    for name in ("pip", "setuptools", "wheel", "uv", "distribute"):
        solver.world.add(name, "1.0")
    assert set(solver.ask("pip", "setuptools", "wheel", "uv", "distribute")) == {  # type: ignore[arg-type]
        "pip",
        "setuptools",
        "wheel",
        "uv",
        "distribute",
    }


@pytest.mark.parametrize(
    ("preferred", "constraint", "version"),
    [
        (("1.0",), "foo>0", "1.0"),
        (("1.0", "1.1"), "foo>0", "1.0"),
        (("1.1", "1.0"), "foo<1.1", "1.0"),
        (("1.0", "1.1"), "foo>1.0", "1.1"),
        (("1.0", "9", "1.2", "1.1"), "foo>1.0,<1.2", "1.1"),
        (("9",), "foo>0", "1.2+pb.3"),
        (("1.2", "1.3"), "foo>0", "1.2+pb.3"),
        (("2.0a1",), "foo>0", "2.0a1"),
        ((), "foo>0", "1.2+pb.3"),
    ],
)
def test_preferred_versions(solver: Solver, preferred: tuple[str, ...], constraint: str, version: str) -> None:
    solver.preferred = {"foo": preferred, "absent": ("1",)}
    solver.constraints = (constraint,)
    assert solver.ask("foo") == {"foo": version}


def test_prereleases_only_where_asked(solver: Solver) -> None:
    solver.world.add("only", "1.0b1")
    solver.world.add("wants", "1", "foo>=2.0a1")
    assert solver.ask("only") == {"only": "1.0b1"}
    assert solver.ask("wants") == {"wants": "1", "foo": "2.0a1"}
    solver.prereleases = ("foo", "absent")
    assert solver.ask("foo") == {"foo": "2.0a1"}
    solver.prereleases, solver.constraints = (), ("foo>=2.0a1",)
    assert solver.ask("foo") == {"foo": "2.0a1"}


def test_yanked_only_where_pinned_or_preferred(solver: Solver) -> None:
    solver.world.add("needy", "1", "yankable==1.1")
    assert solver.ask("yankable") == {"yankable": "1.0"}
    assert solver.ask("yankable==1.1") == {"yankable": "1.1"}
    assert "yankable==1.1 was yanked (reason: broken)" in solver.refused("needy").what
    solver.preferred = {"yankable": ("1.1",)}
    assert solver.ask("needy") == {"needy": "1", "yankable": "1.1"}


@pytest.mark.parametrize("requires_python", [">=3.13", "<3.12", "!=3.12.*", ">=3.8,<3.12.4", "==3.11.*"])
def test_versions_for_other_pythons_are_passed_over(solver: Solver, requires_python: str) -> None:
    solver.world.add("snake", "2.0", requires_python=requires_python)
    error = solver.refused("snake")
    assert f"the target's Python is {PYTHON} and snake==2.0 wants Python {requires_python}, so" in error.what
    assert "another Python" in error.cure
    solver.world.add("snake", "1.0", requires_python="no specifier")
    assert solver.ask("snake") == {"snake": "1.0"}


def test_what_nobody_knows_is_found_out_and_asked_again(solver: Solver) -> None:
    solver.world.add_unknown("a", "2")
    solver.world.add_unknown("a", "1")
    solver.world.add_unknown("b", "1")
    solver.world.add("c", "1", "a", "b[x]", "foo<1.1")
    one = Version("1")
    assert solver.ask("c") == Unknown(packages=(("a", Version("2")), ("b", one)))
    solver.world.required["a", Version("2")] = (Requirement("foo>1.1"),)
    solver.world.required["b", one] = (Requirement("idna"),)
    assert solver.ask("c") == Unknown(packages=(("a", one),))
    solver.world.required["a", one] = ()
    assert solver.ask("c") == {"a": "1", "b": "1[x]", "c": "1", "foo": "1.0", "idna": "1.0"}


def test_requirements_that_fail_count_only_if_chosen(solver: Solver) -> None:
    broken = FetchError("the archive has another digest")
    solver.world.add_failing("a", "2", broken)
    solver.world.add("a", "1", "foo @ https://example.org/foo.zip")
    solver.world.add("a", "0.9")
    with pytest.raises(FetchError) as caught:
        solver.ask("a")
    assert caught.value is broken
    assert "names a URL" in solver.refused("a<2").what
    solver.constraints = ("a<1",)
    assert solver.ask("a") == {"a": "0.9"}


class Raising(TableWorld):
    """A world whose pages can't be had."""

    error: BaseException

    def offers(self, name: NormalizedName) -> Sequence[Offer] | None:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        FetchError("the index is down"),
        StateError("the disk is full"),
        ReviewError("nobody has accepted foo", wanted=(("foo", "foo", ""),)),
        ConnectionResetError("a fault of ours"),
    ],
)
def test_what_the_world_raises_comes_out_as_itself(cache: Path, error: BaseException) -> None:
    world = Raising()
    world.error = error
    with pytest.raises(type(error)) as caught:
        Solver(world, cache).ask("foo")
    assert caught.value is error


def test_other_errors_of_requirements_come_out_as_themselves(solver: Solver) -> None:
    error = StateError("the disk is full")
    solver.world.add_failing("a", "1", error)
    with pytest.raises(PybuildError) as caught:
        solver.ask("a")
    assert caught.value is error


def test_conflicts_say_who_wants_what(solver: Solver) -> None:
    solver.world.add("low", "1", "foo<1.1")
    solver.world.add("high", "1", "foo>1.1")
    solver.world.add("high", "2", "foo>1.1")
    error = solver.refused("low", "high")
    for part in ("every version of low wants foo<1.1", "every version of high wants foo>1.1", "the command wants"):
        assert part in error.what
    solver.constraints = ("foo>1.1", "idna>0")
    assert solver.refused("low").what.endswith("the constraints are foo>1.1")


def test_what_cannot_be_had_is_said_in_one_sentence(solver: Solver) -> None:
    solver.world.project("wheels")
    solver.world.add("nested", "1", "wheels")
    assert solver.refused("missing").what == "missing does not exist upstream and the command wants missing"
    assert solver.refused("wheels").what == "wheels has no version with a source and the command wants wheels"
    assert solver.refused("foo>3").what == "only foo<=2.0a1 can be had and the command wants foo>3"
    assert "every version of nested wants wheels" in solver.refused("nested").what
    assert "names no version" in solver.refused("foo===abc").what
    assert "names a URL" in solver.refused("foo @ https://example.org/foo.zip").what


def test_numbers_too_great_for_uv_are_passed_over(solver: Solver) -> None:
    huge = "9" * 40
    solver.world.add("big", huge)
    solver.world.add("big", "1")
    solver.world.add("wants", "2", f"big>={huge}")
    assert solver.ask("big") == {"big": "1"}
    assert "wants==2 requires what can't be read" in solver.refused("wants").what
    solver.world.add("wants", "1")
    assert solver.ask("wants") == {"wants": "1"}


@dataclass
class Watching(TableWorld):
    """A world that does something while uv waits for it."""

    act: Callable[[], None] = lambda: None

    def offers(self, name: NormalizedName) -> Sequence[Offer] | None:
        self.act()
        return TableWorld.offers(self, name)


def running_uv() -> Path:
    """The entry in /proc of the uv that we started."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = status.read_text().partition(" (")[2].rpartition(") ")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name == "uv" and rest.split()[1] == str(os.getpid()):
            return status.parent
    raise AssertionError("no uv runs")


def view_url(process: Path) -> str:
    variables = dict(line.split("=", 1) for line in (process / "environ").read_text().split("\0") if line)
    return variables["UV_DEFAULT_INDEX"]


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def refuses(url: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_the_view_is_private_and_gone_afterwards(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_FIND_LINKS"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    others = set(threading.enumerate())
    seen: list[tuple[str, int, int, bytes]] = []
    idle: list[socket.socket] = []

    def look() -> None:
        process = running_uv()
        url = view_url(process)
        root = url[: url.index("/", 8) + 1]
        seen.append((url, status_of(root), status_of(f"{root}foo/"), (process / "cmdline").read_bytes()))
        # Another user's connections: one says nothing, one nonsense.
        idle.append(socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)))
        with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)) as noise:
            noise.sendall(b"\xff\xfe\r\n\r\n")
            assert noise.recv(10) == b""

    world = Watching(act=look)
    world.add("foo", "1.0")
    assert Solver(world, cache).ask("foo") == {"foo": "1.0"}
    ((url, at_root, without_secret, arguments),) = seen
    secret = urlsplit(url).path.strip("/")
    assert len(secret) >= 32 and secret.encode() not in arguments
    assert (at_root, without_secret) == (404, 404)
    assert refuses(url)
    idle[0].close()
    assert set(threading.enumerate()) <= others


def test_an_interruption_leaves_nothing(cache: Path) -> None:
    others = set(threading.enumerate())
    seen: list[tuple[Path, str]] = []

    def interrupt() -> None:
        process = running_uv()
        seen.append((process, view_url(process)))
        os.kill(os.getpid(), signal.SIGINT)
        deadline = time.monotonic() + 10
        while process.exists() and time.monotonic() < deadline:
            time.sleep(0.01)

    world = Watching(act=interrupt)
    world.add("foo", "1.0")
    with pytest.raises(KeyboardInterrupt):
        Solver(world, cache).ask("foo")
    ((process, url),) = seen
    assert not process.exists()
    assert refuses(url)
    assert set(threading.enumerate()) <= others


def test_a_cache_that_cannot_be_used_is_said(world: TableWorld, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(EngineError, match="uv failed") as caught:
        Solver(world, tmp_path / "file" / "cache").ask("foo")
    assert "127.0.0.1" not in caught.value.what


def test_the_cache_does_not_grow_with_resolutions(solver: Solver, tmp_path: Path) -> None:
    solver.cache = tmp_path / "cache"
    solver.ask("foo")
    before = sorted(solver.cache.rglob("*"))
    solver.ask("foo", "requests[socks]")
    assert sorted(solver.cache.rglob("*")) == before


def test_hundreds_of_packages_are_asked_for_once(solver: Solver) -> None:
    packages = 300
    for n in range(packages):
        for minor in range(5):
            wants = [f"p{k}>=1.{minor}" for k in (n + 1, n + 2, n + 7) if k < packages]
            solver.world.add(f"p{n}", f"1.{minor}", *wants)
    assert solver.ask("p0") == {f"p{n}": "1.4" for n in range(packages)}
    assert len(solver.world.asked) == len(set(solver.world.asked)) == 2 * packages
