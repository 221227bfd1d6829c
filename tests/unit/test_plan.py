from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pybuilder import plan as module
from pybuilder.plan import Ingredient, Plan, Recipe, Root, Target, canonical_json, digest, rpm_root_digest

RECIPE = Recipe(
    name="six",
    version="1.17.0",
    source="aa",
    subdirectory="",
    patches=("p1", "p2"),
    add_requires=(),
    remove_requires=(),
    env={"A": "1", "B": "2"},
    config_settings={},
    vendor="",
    root_env={},
    root_macros={},
)
PLAN = Plan(
    recipe=RECIPE,
    root=Root(kind="host", digest="rr", contents={"os_release": "x"}),
    target=Target(name="cp311-linux_x86_64", python="3.11", full_version="3.11.7", tags=("a", "b"), markers={}),
    requires=("setuptools",),
    environment=(
        Ingredient(name="setuptools", version="80.0", payload="s1"),
        Ingredient(name="wheel", version="0.45", payload="w1"),
    ),
    source_date_epoch=1,
    build_path="/build/six-1.17.0",
    environment_path="/env",
    sandbox_version=1,
    canonicaliser_version=1,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [({"b": 1, "a": [True, None]}, b'{"a":[true,null],"b":1}'), ("ü\u2028", '"ü\u2028"'.encode()), ((1, 2), b"[1,2]")],
)
def test_one_byte_string_for_one_value(value: Any, text: bytes) -> None:
    assert canonical_json(value) == text


def test_no_byte_string_for_what_json_has_not() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


def test_the_key_of_a_format_never_moves() -> None:
    """A change here means that every package is built again: raise FORMAT_VERSION and know why."""
    assert PLAN.key() == "46ce14f4354badee9860781e52437dfbd83d0c6da0c1033141aa2e2cb61f0a79"
    assert RECIPE.digest() == "528565f6e0d808c00df3da9cd95990e74bf1533e19ef17a653045b8b120b8a53"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "seven"},
        {"version": "1.17.1"},
        {"source": "bb"},
        {"subdirectory": "python"},
        {"patches": ("p2", "p1")},
        {"patches": ()},
        {"add_requires": ("wheel",)},
        {"remove_requires": ("cmake",)},
        {"env": {"A": "1"}},
        {"config_settings": {"--x": ["1"]}},
        {"vendor": "vv"},
        {"root_env": {"A": "1"}},
        {"root_macros": {"a": "1"}},
    ],
)
def test_what_a_person_decides_is_in_recipe_and_key(change: dict[str, Any]) -> None:
    recipe = replace(RECIPE, **change)
    assert recipe.digest() != RECIPE.digest()
    assert replace(PLAN, recipe=recipe).key() != PLAN.key()


@pytest.mark.parametrize(
    "change",
    [
        {"root": Root(kind="host", digest="r2", contents={})},
        {"root": Root(kind="rpm", digest="rr", contents={})},
        {"target": replace(PLAN.target, name="cp312-linux_x86_64")},
        {"target": replace(PLAN.target, full_version="3.11.8")},
        {"target": replace(PLAN.target, tags=("b", "a"))},
        {"environment": PLAN.environment[:1]},
        {"environment": (replace(PLAN.environment[0], payload="s2"), PLAN.environment[1])},
        {"source_date_epoch": 2},
        {"build_path": "/build/six-1.17"},
        {"environment_path": "/venv"},
        {"sandbox_version": 2},
        {"canonicaliser_version": 2},
    ],
)
def test_what_is_in_the_key(change: dict[str, Any]) -> None:
    assert replace(PLAN, **change).key() != PLAN.key()


@pytest.mark.parametrize(
    "change",
    [
        {"requires": ("setuptools>=61",)},
        {"environment": PLAN.environment[::-1]},
        {"environment": (replace(PLAN.environment[0], version="80.0+pb.1"), PLAN.environment[1])},
        {"target": replace(PLAN.target, markers={"os_name": "posix"})},
        {"root": replace(PLAN.root, contents={})},
        {"recipe": replace(RECIPE, env={"B": "2", "A": "1"})},
    ],
)
def test_what_is_not(change: dict[str, Any]) -> None:
    assert replace(PLAN, **change).key() == PLAN.key()


@pytest.mark.parametrize("constant", ["FORMAT_VERSION", "UMASK"])
def test_constants_are_in_the_key(constant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = PLAN.key()
    monkeypatch.setattr(module, constant, 99)
    assert replace(PLAN).key() != before


def test_as_the_record_keeps_it() -> None:
    kept = json.loads(json.dumps(PLAN.as_json()))
    assert kept["key"] == PLAN.key()
    assert kept["environment"][0] == {"name": "setuptools", "version": "80.0", "payload": "s1"}
    assert digest(kept["recipe"]) == RECIPE.digest()


class TestRoots:
    RPMS: tuple[dict[str, str], ...] = (
        {"name": "gcc", "evra": "15.1-1.x86_64", "sha256": "b" * 64},
        {"name": "bash", "evra": "5.3-1.x86_64", "sha256": "a" * 64},
    )

    def test_a_root_of_rpms_has_the_digest_of_its_list(self) -> None:
        pairs = [("bash-5.3-1.x86_64", "a" * 64), ("gcc-15.1-1.x86_64", "b" * 64)]
        root = Root(kind="rpm", digest=rpm_root_digest(pairs, {"a": "1"}), contents={"rpms": list(self.RPMS)})
        assert root.stated_digest({"a": "1"}) == root.digest
        assert root.stated_digest({}) != root.digest
        swapped = [self.RPMS[0] | {"sha256": "c" * 64}, self.RPMS[1]]
        assert replace(root, contents={"rpms": swapped}).stated_digest({"a": "1"}) != root.digest

    def test_a_host_has_the_digest_of_its_contents(self) -> None:
        root = Root(kind="host", digest=digest({"os_release": "x"}), contents={"os_release": "x"})
        assert root.stated_digest({}) == root.digest

    def test_the_address_of_a_root_never_moves(self) -> None:
        """A change here means that every root is made again: raise ROOT_FORMAT and know why."""
        assert rpm_root_digest([("bash-5.3-1.x86_64", "a" * 64)], {}) == (
            "1961ac60ac20deccc1820f98c8872f07ad39375dfc0e08b34c8f13df173c5d11"
        )
