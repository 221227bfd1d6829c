from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from pybuilder.plan import Ingredient, Plan, Root
from pybuilder.plan_diff import Account, Change, circumstance_changes, input_changes
from tests.support.plans import PLAN as demo

RECIPE = replace(
    demo.recipe,
    name="six",
    version="1.17.0",
    patches=("p1", "p2"),
    add_requires=("wheel",),
    env={"A": "1", "B": "2"},
    config_settings={"--x": ("1", "2")},
)
PLAN = replace(
    demo,
    recipe=RECIPE,
    root=Root(kind="host", digest="r0", contents={"os_release": "o", "packages": "p", "interpreter": "i"}),
    requires=("setuptools",),
    environment=(
        Ingredient(name="setuptools", version="80.0", payload="s1"),
        Ingredient(name="wheel", version="0.45", payload="w1"),
    ),
    source_date_epoch=1,
    build_path="/build/six-1.17.0",
)
RECORD = {
    "channel": "host",
    "engine": "host",
    "prebuilt": None,
    "tools": {"pybuild": "0.1.0", "bubblewrap": "0.8"},
    "source": {"file": "six-1.17.0.tar.gz"},
    "patches": [
        {"file": "patches/six/0001-a.patch", "sha256": "p1"},
        {"file": "patches/six/0002-b.patch", "sha256": "p2"},
    ],
}
BEFORE = Account(plan=PLAN, record=RECORD)


def rpm_root(digest: str, **evras: str) -> Root:
    rpms = [{"name": name, "evra": evra, "sha256": f"{name}{evra}"} for name, evra in evras.items()]
    return Root(kind="rpm", digest=digest, contents={"base": [], "rpms": rpms})


def with_recipe(**changes: Any) -> Account:
    return Account(plan=replace(PLAN, recipe=replace(RECIPE, **changes)), record=RECORD)


def with_plan(**changes: Any) -> Account:
    return Account(plan=replace(PLAN, **changes), record=RECORD)


def told(after: Account, before: Account = BEFORE) -> list[tuple[str, str, str, str]]:
    return [(each.part, each.what, each.before, each.after) for each in input_changes(before, after)]


SAID = {
    "version": (with_recipe(version="1.18"), ("version", "version", "1.17.0", "1.18")),
    "source": (
        with_recipe(source="b" * 64),
        ("source", "archive", f"six-1.17.0.tar.gz sha256 {'a' * 64}", f"six-1.17.0.tar.gz sha256 {'b' * 64}"),
    ),
    "epoch": (with_plan(source_date_epoch=2), ("source", "SOURCE_DATE_EPOCH", "1", "2")),
    "patch gone": (with_recipe(patches=("p1",)), ("patches", "patches/six/0002-b.patch", "sha256 p2", "")),
    "patch order": (
        with_recipe(patches=("p2", "p1")),
        (
            "patches",
            "order",
            "patches/six/0001-a.patch, patches/six/0002-b.patch",
            "patches/six/0002-b.patch, patches/six/0001-a.patch",
        ),
    ),
    "patch unknown": (with_recipe(patches=("p1", "p2", "p3")), ("patches", "p3", "", "sha256 p3")),
    "add-requires": (with_recipe(add_requires=()), ("spec", "[build] add-requires", "wheel", "")),
    "remove-requires": (with_recipe(remove_requires=("cmake",)), ("spec", "[build] remove-requires", "", "cmake")),
    "env": (with_recipe(env={"A": "1", "B": "3"}), ("spec", "[build.env] B", "2", "3")),
    "env gone": (with_recipe(env={"A": "1"}), ("spec", "[build.env] B", "2", "")),
    "env empty": (with_recipe(env={"A": "1", "B": ""}), ("spec", "[build.env] B", "2", "''")),
    "settings": (
        with_recipe(config_settings={"--x": "'1', '2'"}),
        ("spec", "[build.config-settings] --x", "'1', '2'", "'1', '2'"),
    ),
    "subdirectory": (with_recipe(subdirectory="py"), ("spec", "[source] subdirectory", "", "py")),
    "vendor": (with_recipe(vendor="v"), ("spec", "[build] vendor", "", "v")),
    "root env": (with_recipe(root_env={"C": "1"}), ("buildroot", "[env] C", "", "1")),
    "macros": (with_recipe(root_macros={"_x": "1"}), ("buildroot", "[macros] _x", "", "1")),
    "host packages": (
        with_plan(root=replace(PLAN.root, digest="r1", contents={**PLAN.root.contents, "packages": "q"})),
        ("system", "the system's packages", "p", "q"),
    ),
    "host, who knows why": (
        with_plan(root=replace(PLAN.root, digest="r1")),
        ("buildroot", "root", "host r0", "host r1"),
    ),
    "kind": (with_plan(root=rpm_root("r2", gcc="14-1.x86_64")), ("buildroot", "root", "host r0", "rpm r2")),
    "environment": (
        with_plan(environment=(Ingredient(name="setuptools", version="80.0", payload="s2"), PLAN.environment[1])),
        ("environment", "setuptools", "80.0 payload s1", "80.0 payload s2"),
    ),
    "python": (
        with_plan(target=replace(PLAN.target, full_version="3.11.8")),
        ("target", "Python", "3.11.7", "3.11.8"),
    ),
    "target": (with_plan(target=replace(PLAN.target, name="x")), ("target", "name", "cp311-linux_x86_64", "x")),
    "sandbox": (with_plan(sandbox_version=2), ("pybuild", "version of the sandbox", "1", "2")),
    "canonicaliser": (with_plan(canonicaliser_version=2), ("pybuild", "version of the canonicaliser", "1", "2")),
    "source's path": (with_plan(build_path="/b"), ("pybuild", "path of the source", "/build/six-1.17.0", "/b")),
    "environment's path": (with_plan(environment_path="/e"), ("pybuild", "path of the environment", "/env", "/e")),
}


@pytest.mark.parametrize("what", SAID)
def test_what_is_said_of_a_change(what: str) -> None:
    after, expected = SAID[what]
    assert told(after) == [expected]


def test_another_order_of_tags() -> None:
    [change] = input_changes(BEFORE, with_plan(target=replace(PLAN.target, tags=("b", "a"))))
    assert (change.part, change.what) == ("target", "accepted tags")
    assert change.before != change.after


def test_rpms_by_name_and_evra() -> None:
    before = with_plan(root=rpm_root("r1", bash="5.2-1.x86_64", gcc="14.1-1.x86_64", make="4-1.x86_64"))
    after = with_plan(root=rpm_root("r2", bash="5.2-1.x86_64", cmake="3-1.x86_64", gcc="14.2-1.x86_64"))
    assert told(after, before) == [
        ("RPMs", "cmake", "", "3-1.x86_64 sha256 cmake3-1.x86_64"),
        ("RPMs", "gcc", "14.1-1.x86_64 sha256 gcc14.1-1.x86_64", "14.2-1.x86_64 sha256 gcc14.2-1.x86_64"),
        ("RPMs", "make", "4-1.x86_64 sha256 make4-1.x86_64", ""),
    ]


def test_a_new_version_says_its_path_only_once() -> None:
    after = with_recipe(version="1.18")
    after = Account(plan=replace(after.plan, build_path="/build/six-1.18"), record=RECORD)
    assert [each[1] for each in told(after)] == ["version"]


def test_macros_say_themselves_why_the_root_is_another() -> None:
    after = with_recipe(root_macros={"_x": "1"})
    after = Account(plan=replace(after.plan, root=replace(PLAN.root, digest="r9")), record=RECORD)
    assert [each[1] for each in told(after)] == ["[macros] _x"]


def test_nothing_is_said_exactly_where_the_keys_are_equal() -> None:
    accounts = [BEFORE, *(after for after, _ in SAID.values())]
    for one, two in combinations(accounts, 2):
        assert bool(input_changes(one, two)) == (one.plan.key() != two.plan.key())
    read_back = Account(plan=Plan.from_json(json.loads(json.dumps(PLAN.as_json()))), record=RECORD)
    assert input_changes(BEFORE, read_back) == ()
    assert circumstance_changes(BEFORE, read_back) == ()


def test_the_order_is_that_of_the_parts_whatever_changed() -> None:
    after = Account(
        plan=replace(
            PLAN,
            recipe=replace(RECIPE, version="2", source="c" * 64, patches=(), env={}, root_env={"C": "1"}),
            environment=(),
            target=replace(PLAN.target, full_version="3.11.8"),
            sandbox_version=2,
        ),
        record=RECORD,
    )
    parts = list(dict.fromkeys(each.part for each in input_changes(BEFORE, after)))
    assert parts == ["version", "source", "patches", "spec", "buildroot", "environment", "target", "pybuild"]


def test_circumstances_are_told_and_are_no_inputs() -> None:
    after = Account(
        plan=replace(PLAN, requires=("setuptools>=61",)),
        record={
            **RECORD,
            "channel": "fedora",
            "engine": "podman",
            "prebuilt": "no source",
            "tools": {"pybuild": "0.2.0", "podman": "5"},
        },
    )
    assert input_changes(BEFORE, after) == ()
    assert [(each.part, each.what, each.before, each.after) for each in circumstance_changes(BEFORE, after)] == [
        ("requirements", "build requirement", "setuptools", ""),
        ("requirements", "build requirement", "", "setuptools>=61"),
        ("circumstances", "channel", "host", "fedora"),
        ("circumstances", "engine", "host", "podman"),
        ("circumstances", "[prebuilt] reason", "", "no source"),
        ("tools", "bubblewrap", "0.8", ""),
        ("tools", "podman", "", "5"),
        ("tools", "pybuild", "0.1.0", "0.2.0"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [("1", "2", "x: 1 -> 2"), ("", "2", "x: added, 2"), ("1", "", "x: gone, was 1")],
)
def test_sentences(before: str, after: str, sentence: str) -> None:
    change = Change(part="p", what="x", before=before, after=after)
    assert change.sentence == sentence
    assert change.as_json == {"part": "p", "what": "x", "before": before or None, "after": after or None}
