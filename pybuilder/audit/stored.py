"""What a state keeps of a wheel's inputs: each object in its store must have the digest that it is filed under."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pybuilder import interruption
from pybuilder.audit.evidence import Check, Evidence
from pybuilder.facts import Facts
from pybuilder.files import sha256_file
from pybuilder.plan import Plan, digest
from pybuilder.store import Store

_FACT = "stored-rpms"
_THREADS = os.cpu_count() or 1


@dataclass(kw_only=True)
class Kept:
    """The inputs that a store has; each is read once.

    What the store lacks is not missed: the index has sources and payloads, and gc may take what can be had again.

    Args:
        store: The store.
        facts: Remembers which RPMs were read, by their sizes and times: hashing those of a root takes half a second.
    """

    store: Store
    facts: Facts
    _digests: dict[Path, str] = field(default_factory=dict, init=False, repr=False)
    _roots: dict[str, Check | None] = field(default_factory=dict, init=False, repr=False)

    def checks(self, found: Evidence) -> tuple[Check, ...]:
        """The inputs of a wheel against their digests."""
        plan = found.plan
        if plan is None:
            return ()
        root = self._root_check(plan.root.digest, plan.root.contents)
        return (*self._objects(plan), *((root,) if root else ()))

    def _objects(self, plan: Plan) -> Iterator[Check]:
        kept = [("the source", self.store.source(plan.recipe.source), plan.recipe.source)]
        for each in plan.environment:
            kept.append((f"the payload of {each.name} {each.version}", self.store.payload(each.payload), each.payload))
        for what, file, sha256 in kept:
            if file is not None:
                there = self._digests[file] = self._digests.get(file) or sha256_file(file)
                said = "" if there == sha256 else f"{file} has sha256 {there}"
                yield Check(what=f"{what} in the store has its digest", problem=said)

    def _root_check(self, address: str, contents: Mapping[str, Any]) -> Check | None:
        if address not in self._roots:
            self._roots[address] = self._rpm_check(contents)
        return self._roots[address]

    def _rpm_check(self, contents: Mapping[str, Any]) -> Check | None:
        rpms = {rpm["sha256"]: f"{rpm['name']}-{rpm['evra']}" for rpm in contents.get("rpms", ())}
        files = {sha256: file for sha256 in rpms if (file := self.store.rpm(sha256)) is not None}
        if not files:
            return None
        seen = digest([[sha256, *_fingerprint(file)] for sha256, file in sorted(files.items())])
        wrong: dict[str, str] | None = self.facts.fact(_FACT, seen)
        if wrong is None:
            found = interruption.side_by_side(sha256_file, files.values(), threads=_THREADS)
            wrong = {sha256: there for sha256, there in zip(files, found, strict=True) if there != sha256}
            self.facts.add_fact(_FACT, seen, wrong)
        said = "; ".join(f"{rpms[each]} ({files[each]}) has sha256 {there}" for each, there in sorted(wrong.items()))
        return Check(what=f"{len(files)} RPMs in the store have their digests", problem=said)


def _fingerprint(file: Path) -> tuple[int, ...]:
    # The time of change as well: that of modification can be set to anything.
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino
