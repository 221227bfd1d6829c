"""The parts of the way through that need no disk, no network and no sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.plan import Root, Target
from pybuilder.spec import parse_spec
from pybuilder.stages import AppliedPatch, Channel, Made, Project, Source
from pybuilder.stages.plan import build_requirements, make_plan, recipe
from pybuilder.stages.publish import index_floor
from pybuilder.stages.validate import consistency_problems

SIX = NormalizedName("six")
MARKERS = {"python_version": "3.11", "sys_platform": "linux"}
CHANNEL = Channel(name="host", label="pb", buildroot="host", variant="", env={}, macros={})


def source(text: str = "", **changes: Any) -> Source:
    spec = parse_spec(f'name = "six"\n{text}', "specs/six.toml")
    made = Source(
        name=SIX,
        version=Version("1.0"),
        spec=spec.effective(version=Version("1.0"), buildroot="host", python="3.11"),
        sha256="ab",
        patches=(),
        file=Path("/nowhere/six-1.0.tar.gz"),
        origin="https://localhost/six-1.0.tar.gz",
        scm=False,
    )
    return replace(made, **changes)


def project(*requires: str) -> Project:
    return Project(
        source_date_epoch=1,
        requires=tuple(map(Requirement, requires)),
        backend="b",
        backend_path=(),
        requires_dist=None,
        requires_python="",
    )


class TestBuildRequirements:
    @pytest.mark.parametrize(
        ("spec", "static", "dynamic", "expected"),
        [
            ("", ["setuptools"], [], ["setuptools"]),
            ("", ["setuptools"], ["wheel", "setuptools"], ["setuptools", "wheel"]),
            ("", ["a>1", "a<3"], ["a>1"], ["a>1", "a<3"]),
            ('[build]\nadd-requires = ["b[x]>1"]', ["a"], [], ["a", "b[x]>1"]),
            ('[build]\nremove-requires = ["cmake-tool"]', ["a", "CMake_Tool>3"], ["cmake.tool"], ["a"]),
            # What a person adds stays, also where the same name is taken out of what upstream states.
            ('[build]\nremove-requires = ["a"]\nadd-requires = ["a==1"]', ["a>2"], [], ["a==1"]),
        ],
    )
    def test_stated_less_removed_plus_added(
        self, spec: str, static: list[str], dynamic: list[str], expected: list[str]
    ) -> None:
        assert list(map(str, build_requirements(source(spec), project(*static), dynamic))) == expected


class TestRecipe:
    @pytest.mark.parametrize(
        "change",
        [
            {"sha256": "cd"},
            {"version": Version("1.1")},
            {"patches": (AppliedPatch(file="p", path=Path("p"), sha256="p"),)},
            {"spec": source('[build]\nenv = { A = "1" }').spec},
            {"spec": source('[build]\nconfig-settings = { A = "1" }').spec},
            {"spec": source('[build]\nadd-requires = ["a"]').spec},
            {"spec": source('[build]\nremove-requires = ["a"]').spec},
            {"spec": source('[source]\nsubdirectory = "python"').spec},
        ],
        ids=str,
    )
    def test_what_changes_it(self, change: Mapping[str, Any]) -> None:
        assert recipe(source(**change), CHANNEL).digest() != recipe(source(), CHANNEL).digest()

    @pytest.mark.parametrize(
        "change",
        [
            {"origin": "https://mirror.localhost/six-1.0.tar.gz"},
            {"file": Path("/elsewhere/six-1.0.tar.gz")},
            {"spec": source('[test]\nimports = ["a"]').spec},
            {"spec": source('[update]\nallow = "<9"').spec},
            {"spec": source('[build]\nlimits = { memory = "1G", timeout = "1m" }').spec},
        ],
        ids=str,
    )
    def test_what_does_not(self, change: Mapping[str, Any]) -> None:
        assert recipe(source(**change), CHANNEL).digest() == recipe(source(), CHANNEL).digest()

    def test_the_channels_name_and_label_are_not_in_it_but_its_environment_is(self) -> None:
        other = replace(CHANNEL, name="other", label="x")
        assert recipe(source(), other).digest() == recipe(source(), CHANNEL).digest()
        assert recipe(source(), replace(CHANNEL, env={"A": "1"})).digest() != recipe(source(), CHANNEL).digest()


class TestPrebuilt:
    """Upstream's wheel is what it is: what is said of builds has no say in it."""

    WHEEL = '[prebuilt]\nreason = "why"\n'

    def test_nothing_is_needed_to_build_it(self) -> None:
        text = f'{self.WHEEL}[build]\nadd-requires = ["a"]'
        assert build_requirements(source(text), project("setuptools"), ["wheel"]) == ()

    @pytest.mark.parametrize(
        "text",
        [
            '[prebuilt]\nreason = "another"\n',
            f'{WHEEL}[build]\nenv = {{ A = "1" }}',
            f'{WHEEL}[build]\nadd-requires = ["a"]',
            f'{WHEEL}[source]\nsubdirectory = "python"',
        ],
    )
    def test_its_recipe_is_the_wheel(self, text: str) -> None:
        expected = recipe(source(self.WHEEL), CHANNEL)
        assert recipe(source(text), replace(CHANNEL, env={"A": "1"}, macros={"b": "2"})) == expected
        assert (expected.source, expected.version, expected.patches) == ("ab", "1.0", ())
        assert recipe(source(text, sha256="cd"), CHANNEL) != expected


def test_a_plan_says_where_things_lie() -> None:
    made = Made(
        name=NormalizedName("wheel"),
        version=Version("0.45"),
        sha256="ww",
        path=Path("/nowhere"),
        key="k",
        recipe="r",
        attempt="a",
        target="t",
        requires_dist=(),
    )
    plan = make_plan(
        source(),
        project("wheel", "b"),
        requires=[Requirement("wheel"), Requirement("b")],
        environment=[made.ingredient],
        root=Root(kind="host", digest="rr", contents={}),
        target=Target(name="t", python="3.11", full_version="3.11.7", tags=(), markers={}),
        channel=CHANNEL,
    )
    assert (plan.build_path, plan.environment_path) == ("/build/six-1.0", "/env")
    assert plan.requires == ("b", "wheel")
    assert [ingredient.payload for ingredient in plan.environment] == ["ww"]


class TestConsistency:
    @pytest.mark.parametrize(
        ("requires", "problem"),
        [
            (["beta"], ""),
            (["Beta>=1,<2"], ""),
            (["beta>=1.0b1"], ""),
            (["gone; python_version < '3'"], ""),
            (["gone; extra == 'fast'"], ""),
            (["gone>1"], "alpha 1 requires gone>1, which is not installed"),
            (["beta>=2"], "alpha 1 requires beta>=2, but 1.5 is installed"),
        ],
    )
    def test_what_pip_check_would_say(self, requires: list[str], problem: str) -> None:
        installed = {
            NormalizedName("alpha"): (Version("1"), list(map(Requirement, requires))),
            NormalizedName("beta"): (Version("1.5"), []),
        }
        assert consistency_problems(installed, MARKERS) == ((problem,) if problem else ())

    def test_everything_is_collected(self) -> None:
        installed = {SIX: (Version("1"), [Requirement("b"), Requirement("a"), Requirement("six>2")])}
        assert len(consistency_problems(installed, MARKERS)) == 3


class FakeIndex:
    """Knows the files of one project by their versions."""

    def __init__(self, *versions: str) -> None:
        self.versions = versions

    def files(self, project: NormalizedName) -> list[Any]:
        return [type("File", (), {"version": version}) for version in self.versions]


@pytest.mark.parametrize(
    ("published", "version", "floor"),
    [
        ([], "1.0", 0),
        (["1.0+pb.2", "1.0+pb.10", "1.0+pb.9"], "1.0", 10),
        (["1.1+pb.4", "1.0+other.7", "1.0"], "1.0", 0),
        (["1.0.0+pb.3"], "1.0", 3),
        (["1.0+cu126.pb.5", "1.0+pb.1"], "1.0+cu126", 5),
    ],
)
def test_no_number_is_handed_out_that_an_index_has(published: list[str], version: str, floor: int) -> None:
    index: Any = FakeIndex(*published)
    assert index_floor(index, SIX, Version(version), "pb") == floor
