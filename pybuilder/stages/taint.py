"""Upstream's wheels that went into what was built: who is tainted by which (DESIGN.md, "a spec", ``[prebuilt]``).

Taint is a matter of payloads: it is remembered by their digests, and does not enter the key, which has these already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pybuilder.plan import Plan
from pybuilder.record import Taint, recorded_taints
from pybuilder.state import State

__all__ = ["Taint", "environment_taints", "payload_taints", "recorded_taints", "remember"]

_FACT = "taint"


def remember(state: State, account: Mapping[str, Any]) -> None:
    """Remember what taints the payload of a record, if it has one; in whatever order records are read.

    A payload that was also made without any of upstream's wheels is not tainted: it is the same to the last bit.
    """
    payload = account["result"].get("payload_sha256")
    if payload is None:
        return
    known, found = state.fact(_FACT, payload), set(recorded_taints(account))
    if known == []:
        return
    if known and found:
        found |= {Taint(**each) for each in known}
    state.add_fact(_FACT, payload, [taint.as_json for taint in sorted(found)])


def payload_taints(state: State, payload: str) -> tuple[Taint, ...]:
    """What taints a payload, itself included where it is upstream's wheel; sorted, and nothing where none does."""
    return tuple(Taint(**each) for each in state.fact(_FACT, payload) or ())


def environment_taints(state: State, plan: Plan) -> tuple[Taint, ...]:
    """What taints whatever is built by a plan: all that taints anything in its environment; sorted."""
    return _merged(payload_taints(state, ingredient.payload) for ingredient in plan.environment)


def _merged(taints: Iterable[Iterable[Taint]]) -> tuple[Taint, ...]:
    return tuple(sorted({taint for each in taints for taint in each}))
