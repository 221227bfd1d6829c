"""Upstream's wheels that went into what was built: who is tainted by which (DESIGN.md, "a spec", ``[prebuilt]``).

Taint is a matter of payloads: it is remembered by their digests, and does not enter the key, which has these already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pybuilder.plan import Plan
from pybuilder.state import State

_FACT = "taint"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Taint:
    """One of upstream's wheels that was used in place of a build.

    Attributes:
        name: Its package, normalised.
        version: Its version.
        payload_sha256: The payload that was made of it.
        reason: Why it was used, as its spec says.
    """

    name: str
    version: str
    payload_sha256: str
    reason: str

    @property
    def as_json(self) -> dict[str, str]:
        """As records have it."""
        return asdict(self)

    @property
    def sentence(self) -> str:
        """What a person is told, on one line and without what a terminal would obey."""
        reason = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(self.reason.split()))
        return f"upstream's wheel of {self.name} {self.version} was used: {reason}"


def recorded_taints(account: Mapping[str, Any]) -> tuple[Taint, ...]:
    """What taints the payload of a record: what was in its environment, and itself where it is upstream's wheel.

    Args:
        account: The record; one from before there were such wheels says nothing of them.
    """
    found = {Taint(**each) for each in account.get("tainted", ())}
    if account.get("prebuilt"):
        payload = account["result"].get("payload_sha256", "")
        name, version, reason = account["name"], account["version"], account["prebuilt"]
        found.add(Taint(name=name, version=version, payload_sha256=payload, reason=reason))
    return tuple(sorted(found))


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
