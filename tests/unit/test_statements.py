"""Who says what a package requires: the most honest first, and nobody is asked twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from pybuilder.errors import BuildError, FetchError, PybuildError
from pybuilder.names import split_number
from pybuilder.spec import parse_spec
from pybuilder.stages import Made
from pybuilder.statements import Statements
from pybuilder.tree import Package
from tests.support.planned import planned
from tests.support.planning import TARGET, package

SIX = package("six==1.0")


def made(*requires: str) -> Made:
    return Made(
        name=SIX[0],
        version=SIX[1],
        sha256="s",
        path=Path("/nowhere"),
        key="k",
        recipe="r",
        attempt="a",
        target="t",
        requires_dist=tuple(map(Requirement, requires)),
    )


def metadata(*requires: str) -> bytes:
    lines = ["Metadata-Version: 2.1", "Name: six", "Version: 1.0", *(f"Requires-Dist: {each}" for each in requires)]
    return "\n".join([*lines, ""]).encode()


@dataclass
class Sayers:
    """Everybody who may say something of six 1.0; None, or an error, where they don't.

    Attributes:
        fetched: Whether its source is here.
        asked: Who was asked, in order.
    """

    published_build: Made | None = None
    spec_text: str = ""
    beside: bytes | PybuildError | None = None
    source_says: Sequence[str] | PybuildError | None = None
    inside: bytes | None = None
    fetched: bool = False
    built: Made | PybuildError = field(default_factory=lambda: made("built"))
    specs: set[str] = field(default_factory=lambda: {"six"})
    accepts_new: bool = True
    python_fault: PybuildError | None = None
    requires: tuple[str, ...] = ()
    made: dict[Package, Made] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def statements(self) -> Statements:
        parts: Any = {"packages": self, "workspace": self}
        return Statements(**parts, draft=self.drafted, learn=self.learn)

    def accepts(self, name: str) -> bool:
        return True

    def say(self, who: str, value: Any) -> Any:
        self.asked.append(who)
        if isinstance(value, PybuildError):
            raise value
        return value

    def learn(self, package: Package) -> Made:
        found: Made = self.say("build", self.built)
        return found

    def drafted(self, source: Any) -> str | None:
        self.asked.append("draft")
        return f"spec of {source.name}" if self.accepts_new else None

    def draft(self, name: str, text: str) -> None:
        assert text == f"spec of {name}"
        self.specs.add(name)

    def has_spec(self, name: str) -> bool:
        return name in self.specs

    # Packages.

    @property
    def adapters(self) -> Any:
        environments = SimpleNamespace(
            foresee=lambda name, version, modules, *, python: self.asked.append(f"compile {name} {version}"),
            compilers=SimpleNamespace(rest=lambda: self.asked.append("compile no more")),
        )
        return SimpleNamespace(target=TARGET, environments=environments, python=None)

    @property
    def sources(self) -> Any:
        return SimpleNamespace(spec=lambda name, version: self.effective())

    def effective(self) -> Any:
        spec = parse_spec(f'name = "six"\n{self.spec_text}', "specs/six.toml")
        return spec.effective(version=SIX[1], buildroot="host", python="3.12")

    @property
    def chooser(self) -> Any:
        upstream = SimpleNamespace(
            metadata_beside=lambda name, version, tags: self.say("beside", self.beside),
            metadata_inside=lambda name, version, tags: self.say("inside", self.inside),
        )
        return SimpleNamespace(upstream=upstream)

    def numbered(self, package: Package) -> tuple[Version, int] | None:
        return split_number(package[1], "pb")

    def published(self, package: Package) -> Made | None:
        self.asked.append("published")
        return self.published_build

    def has_source(self, package: Package) -> bool:
        return self.fetched

    def stated(self, package: Package) -> Any:
        said = self.say("source", self.source_says)
        return None if said is None else [Requirement(each) for each in said]

    def source(self, package: Package) -> Any:
        self.say("get", self.source_says if isinstance(self.source_says, PybuildError) else None)
        source = SimpleNamespace(name=package[0], version=package[1], spec=self.effective())
        return source, SimpleNamespace(requires=tuple(map(Requirement, self.requires)))

    def read_again(self, package: Package) -> None:
        self.asked.append("read again")

    def check_python(self, package: Package) -> None:
        self.say("python", self.python_fault)


ORDER: list[tuple[dict[str, Any], list[str], list[str] | None]] = [
    ({"made": {SIX: made("payload")}}, [], ["payload"]),
    ({"published_build": made("published")}, ["published"], ["published"]),
    ({"spec_text": '[metadata]\nrequires-dist = ["stated"]'}, ["published"], ["stated"]),
    ({"beside": metadata("wheel")}, ["published", "beside"], ["wheel"]),
    ({"source_says": ["honest"]}, ["published", "beside", "source"], ["honest"]),
    ({"source_says": []}, ["published", "beside", "source"], []),
    ({"inside": metadata("remote")}, ["published", "beside", "source", "inside"], ["remote"]),
    ({}, ["published", "beside", "source", "inside"], None),
    # A source that has been fetched can be asked although upstream is away.
    ({"fetched": True, "beside": metadata("wheel"), "source_says": ["honest"]}, ["published", "source"], ["honest"]),
    ({"fetched": True, "beside": metadata("wheel")}, ["published", "source", "beside"], ["wheel"]),
    ({"fetched": True, "inside": metadata("far")}, ["published", "source", "beside", "inside"], ["far"]),
    # A source that is no sdist is no version of the index.
    ({"spec_text": '[source]\ntype = "path"\npath = "x"', "beside": metadata("no")}, ["published", "source"], None),
    (
        {"spec_text": '[source]\ntype = "path"\npath = "x"', "source_says": ["honest"]},
        ["published", "source"],
        ["honest"],
    ),
]


class TestOrder:
    @pytest.mark.parametrize(("facts", "asked", "expected"), ORDER)
    def test_the_most_honest_first_and_nobody_after(
        self, facts: dict[str, Any], asked: list[str], expected: list[str] | None
    ) -> None:
        said = Sayers(**facts)
        statements = said.statements()
        found = statements.requirements(SIX)
        assert (None if found is None else list(map(str, found))) == expected
        assert said.asked == asked
        assert statements.requirements(SIX) == found
        assert said.asked == asked, "somebody was asked again"

    def test_a_payload_that_comes_later_knows_better(self) -> None:
        said = Sayers(beside=metadata("wheel"))
        statements = said.statements()
        statements.requirements(SIX)
        said.made[SIX] = made("payload")
        assert statements.requirements(SIX) == made("payload").requires_dist


class TestFoundOut:
    def test_built_where_there_is_no_other_way_and_only_once(self) -> None:
        said = Sayers()
        statements = said.statements()
        assert statements.found_out(SIX) == statements.found_out(SIX) == made("built").requires_dist
        assert said.asked.count("build") == 1
        assert statements.requirements(SIX) == made("built").requires_dist

    def test_not_built_where_somebody_says_so(self) -> None:
        said = Sayers(source_says=["honest"])
        assert list(map(str, said.statements().found_out(SIX))) == ["honest"]
        assert "build" not in said.asked

    def test_a_build_that_fails_is_noted_and_not_tried_again(self) -> None:
        error = BuildError("no compiler")
        said = Sayers(built=error)
        statements = said.statements()
        assert statements.found_out(SIX) == statements.found_out(SIX) == ()
        assert said.asked.count("build") == 1
        assert statements.broken == {SIX: error}
        assert error.package == ("six", "1.0")

    def test_what_is_given_up_requires_nothing_from_then_on(self) -> None:
        error = FetchError("nothing goes together")
        said = Sayers(source_says=["honest"])
        statements = said.statements()
        statements.requirements(SIX)
        statements.give_up(SIX, error)
        assert statements.requirements(SIX) == statements.found_out(SIX) == ()
        assert statements.broken == {SIX: error}

    @pytest.mark.parametrize("who", ["beside", "source_says"])
    def test_an_error_is_noted_and_is_no_reason_to_take_another_version(self, who: str) -> None:
        error = FetchError("the server answers 500")
        statements = Sayers(**{who: error}).statements()
        assert statements.requirements(SIX) == ()
        assert statements.broken == {SIX: error}


class TestConfirm:
    """What only a wheel of upstream's has said is asked of the source, or of its backend."""

    def test_a_wheel_beside_which_there_is_no_source_yet(self) -> None:
        said = Sayers(beside=metadata("a"), source_says=["b"])
        statements = said.statements()
        statements.requirements(SIX)
        assert statements.unconfirmed({SIX[0]}) == [SIX] and statements.unconfirmed({"seven"}) == []  # type: ignore[arg-type]
        assert statements.confirm([SIX])
        assert [str(each) for each in statements.requirements(SIX) or ()] == ["b"]
        assert statements.unconfirmed({SIX[0]}) == [] and "build" not in said.asked

    def test_a_source_that_is_not_honest(self) -> None:
        said = Sayers(beside=metadata("a"), built=made("b"))
        statements = said.statements()
        statements.requirements(SIX)
        assert statements.confirm([SIX])
        assert said.asked[-1] == "build"
        assert [str(each) for each in statements.requirements(SIX) or ()] == ["b"]

    @pytest.mark.parametrize("built", [made("a"), FetchError("no such tool")])
    def test_a_wheel_that_is_right_and_one_that_nobody_can_confirm(self, built: Made | PybuildError) -> None:
        said = Sayers(beside=metadata("a"), built=built)
        statements = said.statements()
        statements.requirements(SIX)
        assert not statements.confirm([SIX])
        assert [str(each) for each in statements.requirements(SIX) or ()] == ["a"]
        assert not statements.broken

    def test_whom_nobody_has_accepted_is_not_built(self) -> None:
        said = Sayers(beside=metadata("a"), built=made("b"))
        said.accepts = lambda name: False  # type: ignore[method-assign]
        statements = said.statements()
        statements.requirements(SIX)
        assert not statements.confirm([SIX]) and "build" not in said.asked


class TestHold:
    """Whether a payload requires what the plan was told, as far as that counts here."""

    def hold(self, told: str, *real: str, extras: tuple[str, ...] = ()) -> bool:
        from dataclasses import replace

        tree = planned("six", f"six 1.0: {told}\na 1\nb 1")
        node = replace(tree.nodes[SIX], extras=extras)
        return Sayers(made={SIX: made(*real)}).statements().hold(node)

    def test_the_same(self) -> None:
        assert self.hold("")
        assert self.hold("a>=1; b", "b", "a>=1")

    def test_more_or_less_or_others(self) -> None:
        assert not self.hold("a", "a", "b")
        assert not self.hold("a; b", "a")
        assert not self.hold("a", "a>=1")

    def test_what_does_not_count_here(self) -> None:
        assert self.hold("a", "a", "winreg; sys_platform == 'win32'", "b; extra == 'fast'", "six[fast]; extra == 'all'")
        assert not self.hold("a", "a", "b; extra == 'fast'", extras=("fast",))

    def test_extras_that_name_the_package_itself_are_no_difference(self) -> None:
        assert self.hold("a", "a", "six[fast]; extra == 'all'", extras=("all", "fast"))

    def test_the_payload_is_believed_from_then_on(self) -> None:
        said = Sayers(beside=metadata("a"), made={SIX: made("b")})
        statements = said.statements()
        statements.hold(planned("six", "six 1.0: a\na 1").nodes[SIX])
        said.made.clear()
        assert statements.requirements(SIX) == made("b").requires_dist
        assert said.asked == []


class TestSources:
    def test_a_source_is_looked_at_once(self) -> None:
        said = Sayers()
        statements = said.statements()
        statements.look_at([SIX])
        statements.look_at([SIX])
        assert said.asked == ["get", "python"]
        assert statements.broken == {}

    @pytest.mark.parametrize("accepts_new", [True, False])
    def test_a_package_without_a_spec_gets_one_from_its_source(self, accepts_new: bool) -> None:
        said = Sayers(specs=set(), accepts_new=accepts_new)
        statements = said.statements()
        statements.look_at([SIX])
        statements.look_at([SIX])
        assert said.asked == ["get", "draft", "read again", "python"]

    @pytest.mark.parametrize("fault", ["source_says", "python_fault"])
    def test_one_that_cannot_be_used_is_noted_and_others_are_looked_at(self, fault: str) -> None:
        error = FetchError("it needs another Python")
        said = Sayers(**{fault: error}, specs={"six", "seven"})
        statements = said.statements()
        statements.look_at([SIX, package("seven==7")])
        assert set(statements.broken) == {SIX, package("seven==7")}
        assert error.package in {("six", "1.0"), ("seven", "7")}

    def test_a_build_requirement_by_url_is_none_that_may_be_replaced(self) -> None:
        said = Sayers(requires=("setuptools", "base @ https://example.org/base-1.0.tar.gz"))
        statements = said.statements()
        statements.look_at([SIX])
        assert "requires base by URL" in statements.broken[SIX].what
        assert 'remove-requires = ["base"]' in statements.broken[SIX].cure
        said = Sayers(requires=said.requires, spec_text='[build]\nremove-requires = ["base"]\n')
        statements = said.statements()
        statements.look_at([SIX])
        assert not statements.broken

    def test_a_numbered_build_is_its_payload_whatever_its_source_says(self) -> None:
        build = package("six==1.0+pb.2")
        said = Sayers(published_build=made("published"), source_says=FetchError("no source"))
        statements = said.statements()
        statements.look_at([build])
        assert said.made == {build: said.published_build} and not statements.broken
        assert [str(each) for each in statements.found_out(build)] == ["published"]
        said = Sayers()
        statements = said.statements()
        statements.look_at([build])
        assert "six has no build 1.0+pb.2" in statements.broken[build].what

    def test_side_by_side(self) -> None:
        """Two that wait for each other come through."""
        both = threading.Barrier(2)
        said = Sayers(specs={"six", "seven"})
        check: Callable[[Package], None] = lambda package: both.wait(10) and None  # noqa: E731
        said.check_python = check  # type: ignore[method-assign]
        statements = said.statements()
        statements.look_at([SIX, package("seven==7")])
        assert statements.broken == {}


class TestAhead:
    """Whose source is new, and who is told."""

    @pytest.mark.parametrize(
        ("facts", "told"),
        [
            ({"source_says": ["honest"]}, [SIX]),
            ({"source_says": None}, [SIX]),
            # Its source has not come yet.
            ({"beside": metadata("wheel")}, []),
            ({"source_says": ["honest"], "fetched": True}, []),
            ({"published_build": made("published")}, []),
            ({"source_says": FetchError("it is away")}, []),
        ],
    )
    def test_who_has_got_a_source_is_told(self, facts: dict[str, Any], told: list[Package]) -> None:
        statements = Sayers(**facts).statements()
        seen: list[Package] = []
        statements.ahead = seen.append
        statements.requirements(SIX)
        assert seen == told

    def test_it_is_told_where_a_wheel_had_said_what_is_required(self) -> None:
        said = Sayers(beside=metadata("wheel"))
        statements = said.statements()
        seen: list[Package] = []
        statements.ahead = seen.append
        statements.requirements(SIX)
        statements.look_at([SIX])
        assert seen == [SIX]

    def test_the_source_of_what_is_foreseen_comes_too(self) -> None:
        said = Sayers(beside=metadata("wheel"))
        statements = said.statements()
        seen: list[Package] = []
        statements.ahead = seen.append
        assert list(map(str, statements.foreseen(SIX))) == ["wheel"]
        assert said.asked == ["published", "beside", "get"]
        assert seen == [SIX]

    def test_what_is_here_is_not_followed(self) -> None:
        said = Sayers(fetched=True, source_says=["honest"])
        assert said.statements().foreseen(SIX) == ()
        assert "get" not in said.asked

    def test_a_draft_is_made_once_and_given_when_it_is_looked_at(self) -> None:
        said = Sayers(specs=set(), source_says=["honest"])
        statements = said.statements()
        statements.foreseen(SIX)
        statements.draft_ahead(SIX)
        assert said.asked.count("draft") == 1 and not said.specs
        statements.look_at([SIX])
        assert said.asked.count("draft") == 1 and said.specs == {"six"}

    @pytest.mark.parametrize("facts", [{"specs": {"six"}}, {"fetched": True, "specs": set()}])
    def test_no_draft_is_made_ahead_of_what_has_one_or_is_here(self, facts: dict[str, Any]) -> None:
        said = Sayers(source_says=["honest"], **facts)
        statements = said.statements()
        statements.foreseen(SIX)
        statements.draft_ahead(SIX)
        assert "draft" not in said.asked

    def test_a_new_source_is_compiled_ahead_as_long_as_nobody_says_that_it_is_enough(self) -> None:
        said = Sayers(source_says=["honest"])
        statements = said.statements()
        statements.foreseen(SIX)
        statements.compile_ahead(SIX)
        statements.compile_no_more_ahead()
        assert said.asked[-2:] == ["compile six 1.0", "compile no more"]

    def test_what_is_here_is_not_compiled_ahead(self) -> None:
        said = Sayers(fetched=True, source_says=["honest"])
        statements = said.statements()
        statements.foreseen(SIX)
        statements.compile_ahead(SIX)
        assert "compile six 1.0" not in said.asked

    def test_several_who_ask_at_once_ask_once(self) -> None:
        said = Sayers(source_says=["honest"])
        statements = said.statements()
        begun, go = threading.Event(), threading.Event()

        def slowly(package: Package) -> list[Requirement]:
            said.asked.append("source")
            begun.set()
            go.wait(10)
            return [Requirement("honest")]

        said.stated = slowly  # type: ignore[method-assign]
        found: list[Any] = []
        threads = [threading.Thread(target=lambda: found.append(statements.requirements(SIX))) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert begun.wait(10)
        go.set()
        for thread in threads:
            thread.join()
        assert said.asked.count("source") == 1
        assert [list(map(str, each)) for each in found] == [["honest"]] * 3
