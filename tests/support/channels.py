"""A channel as builds leave it in a state, written down without building anything."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pybuilder.clock import timestamp
from pybuilder.layout import Layout
from pybuilder.plan import Ingredient, Plan, Root, Target
from pybuilder.record import FORMAT, PLAN, RECORD, pretty_json
from pybuilder.state import Attempt, PublishedWheel, State
from tests.support.plans import plan_with

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
TARGET = Target(
    name="cp312-linux_x86_64",
    python="3.12",
    full_version="3.12.1",
    tags=("py3-none-any",),
    markers={"python_version": "3.12", "python_full_version": "3.12.1", "sys_platform": "linux"},
)
HOST_ROOT = Root(kind="host", digest="b" * 64, contents={})


def digest(text: str) -> str:
    """A digest that is the same for the same word."""
    return hashlib.sha256(text.encode()).hexdigest()


def attempt_id(moment: datetime, number: int = 0) -> str:
    """The id of an attempt that began then."""
    return f"{moment:%Y%m%dT%H%M%S.%f}Z-{number:06x}"


@dataclass(kw_only=True, slots=True)
class Channel:
    """A state to write into.

    Attributes:
        layout: Where it lies.
        state: Its database.
        payloads: The newest published payload of each version, by name and version.
    """

    layout: Layout
    state: State
    payloads: dict[tuple[str, str], str] = field(default_factory=dict)
    _count: Iterator[int] = field(default_factory=itertools.count)
    _numbers: dict[tuple[str, str], int] = field(default_factory=dict)

    def attempt(
        self,
        name: str,
        version: str = "1.0",
        *,
        payload: str = "",
        requires: Sequence[str] = (),
        environment: Sequence[str] = (),
        installs: Sequence[str] = (),
        root: Root = HOST_ROOT,
        recipe: Mapping[str, Any] = MappingProxyType({}),
        began: datetime = BEGAN,
        failure: tuple[str, str] | None = None,
    ) -> Attempt:
        """An attempt that has ended, and its record.

        Args:
            name: The package.
            version: Its version.
            payload: A word for what it made; default: one of its own.
            requires: Its build requirements.
            environment: ``name==version`` of what was beside it, in the newest published build.
            installs: What its payload requires.
            root: What lay under it.
            recipe: Of its recipe, what is not as ever.
            began: When it began.
            failure: The phase in which it failed, and the error; default: it succeeded.
        """
        number = next(self._count)
        plan = self.plan(name, version, requires=requires, environment=environment, root=root, recipe=recipe)
        made = None if failure else digest(payload or f"payload {number}")
        row = Attempt(
            id=attempt_id(began, number),
            key=plan.key(),
            recipe=plan.recipe.digest(),
            name=name,
            version=version,
            channel="host",
            target=TARGET.name,
            engine="host",
            state="failed" if failure else "succeeded",
            owner="",
            started=timestamp(began),
            seconds=1.0,
            phase=failure[0] if failure else None,
            error=failure[1] if failure else None,
            payload=made,
        )
        self.state.restore_attempt(row)
        record = self.layout.record(row.key, row.id)
        record.mkdir(parents=True)
        (record / PLAN).write_bytes(pretty_json(plan.as_json()))
        account = {"format": FORMAT, "patches": [], "source": {"file": f"{name}-{version}.tar.gz"}}
        (record / RECORD).write_bytes(pretty_json(account))
        if made:
            self.state.add_fact("metadata", made, {"requires_dist": list(installs)})
        return row

    def plan(
        self,
        name: str,
        version: str,
        *,
        requires: Sequence[str] = (),
        environment: Sequence[str] = (),
        root: Root = HOST_ROOT,
        recipe: Mapping[str, Any] = MappingProxyType({}),
    ) -> Plan:
        """The plan of a build."""
        pairs = [(each.partition("==")[0], each.partition("==")[2]) for each in environment]
        return plan_with(
            recipe={"name": name, "version": version, **recipe},
            requires=tuple(requires),
            environment=tuple(sorted(Ingredient(name=n, version=v, payload=self.payloads[n, v]) for n, v in pairs)),
            root=root,
            target=TARGET,
        )

    def publish(self, attempt: Attempt, *, wheel_tags: str = "py3-none-any") -> PublishedWheel:
        """What an attempt made is published under the next number of its version."""
        package = (attempt.name, attempt.version)
        number = self._numbers[package] = self._numbers.get(package, 0) + 1
        assert attempt.payload
        row = PublishedWheel(
            label="pb",
            name=attempt.name,
            version=attempt.version,
            number=number,
            target=attempt.target,
            channel="host",
            wheel=f"{attempt.name.replace('-', '_')}-{attempt.version}+pb.{number}-{wheel_tags}.whl",
            wheel_sha256=digest(f"wheel {attempt.id}"),
            payload=attempt.payload,
            key=attempt.key,
            recipe=attempt.recipe,
            attempt=attempt.id,
            published=timestamp(datetime.fromisoformat(attempt.started) + timedelta(seconds=1)),
        )
        self.state.begin_publish([row])
        self.state.finish_publish("pb", attempt.name, attempt.version, number)
        self.payloads[package] = attempt.payload
        return row

    def build(self, name: str, version: str = "1.0", **facts: Any) -> PublishedWheel:
        """An attempt that was published; the facts are those of ``attempt``."""
        return self.publish(self.attempt(name, version, **facts))


@contextmanager
def channel(root: Path) -> Iterator[Channel]:
    """A channel of a new state, whose database has everything that was there before it."""
    layout = Layout(root=root)
    with closing(State.open(layout)) as state:
        with state._connection() as connection:
            connection.execute("PRAGMA synchronous = OFF")
        state.add_fact("recovered", "", True)
        yield Channel(layout=layout, state=state)
