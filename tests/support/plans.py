"""A plan to begin with; tests replace what they are about."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pybuilder.plan import Plan, Recipe, Root, Target

PLAN = Plan(
    recipe=Recipe(
        name="demo",
        version="1.0",
        source="a" * 64,
        subdirectory="",
        patches=(),
        add_requires=(),
        remove_requires=(),
        env={},
        config_settings={},
        vendor="",
        root_env={},
        root_macros={},
    ),
    root=Root(kind="host", digest="b" * 64, contents={}),
    target=Target(name="cp311-linux_x86_64", python="3.11", full_version="3.11.7", tags=("a", "b"), markers={}),
    requires=(),
    environment=(),
    source_date_epoch=1_600_000_000,
    build_path="/build/demo-1.0",
    environment_path="/env",
    sandbox_version=1,
    canonicaliser_version=1,
)


def plan_with(*, recipe: Mapping[str, Any] = MappingProxyType({}), **changes: Any) -> Plan:
    """``PLAN`` with other fields, also of its recipe."""
    return dataclasses.replace(PLAN, recipe=dataclasses.replace(PLAN.recipe, **recipe), **changes)
