"""A state as builds leave it, written down without building anything: records, their objects, rows of the database."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pybuilder.gc import Collector, Ground, Report
from pybuilder.gc.facts import Named
from pybuilder.layout import Layout
from pybuilder.reachability import Needed
from pybuilder.rpm.install import HostInstaller
from pybuilder.rpm.roots import Roots
from pybuilder.state import Attempt, PublishedWheel, State
from pybuilder.store import Store

LONG_AGO = (10**9, 10**9)
TARGET = "cp311-linux_x86_64"


def digest(text: str) -> str:
    """A digest that is the same for the same word."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(kw_only=True, slots=True)
class Ledger:
    """A state to write into; everything in it was used long ago.

    Attributes:
        layout: Where it lies.
        state: Its database.
    """

    layout: Layout
    state: State
    _number: int = field(default=0)

    def put(self, kind: str, word: str, *, size: int = 10) -> Path:
        """Something in the store; ``word`` stands for its digest."""
        directory = self.layout.kind(kind) / digest(word)
        if not directory.exists():
            directory.mkdir(parents=True)
            (directory / "file").write_bytes(b"x" * size)
            os.utime(directory, LONG_AGO)
        return directory

    def root(self, rpms: Sequence[str]) -> Path:
        """A root of RPMs."""
        directory = self.layout.root_of(digest(f"root of {sorted(rpms)}"))
        (directory / "tree").mkdir(parents=True)
        listing = {"base": "", "macros": {}, "rpms": [[rpm, digest(rpm)] for rpm in rpms]}
        (directory / "root.json").write_text(json.dumps(listing))
        os.utime(directory / "root.json", LONG_AGO)
        return directory

    def attempt(
        self,
        name: str,
        *,
        source: str = "",
        payload: str = "",
        needs: Sequence[str] = (),
        rpms: Sequence[str] = (),
        published: bool = False,
    ) -> str:
        """An attempt with its record and everything that this names; its id."""
        self._number += 1
        made = f"2026-{self._number:06}"
        key, source = digest(f"key {made}"), source or f"{name}.tar"
        self.put("sources", source)
        for rpm in rpms:
            self.put("rpms", rpm)
        for each in (*needs, *([payload] if payload else [])):
            self.put("payloads", each)
        self._record(made, key, name, source=source, payload=payload, needs=needs, rpms=rpms)
        self.state.restore_attempt(
            Attempt(
                id=made,
                key=key,
                recipe="r",
                name=name,
                version="1.0",
                channel="host",
                target=TARGET,
                engine="host",
                state="succeeded" if payload else "failed",
                owner="",
                started="2026-01-01",
                payload=digest(payload) if payload else None,
            )
        )
        if published:
            self.publish(made, key, name, payload)
        return made

    def publish(self, attempt: str, key: str, name: str, payload: str, *, finish: bool = True) -> None:
        """What an attempt made is published, or begun to be, under a number of its own."""
        row = PublishedWheel(
            label="pb",
            name=name,
            version="1.0",
            number=self._number,
            target=TARGET,
            channel="host",
            wheel=f"{name}-1.0+pb.{self._number}-py3-none-any.whl",
            wheel_sha256="w",
            payload=digest(payload),
            key=key,
            recipe="r",
            attempt=attempt,
            published="2026-01-01",
        )
        self.state.begin_publish([row])
        if finish:
            self.state.finish_publish("pb", name, "1.0", self._number)

    def _record(
        self,
        made: str,
        key: str,
        name: str,
        *,
        source: str,
        payload: str,
        needs: Sequence[str],
        rpms: Sequence[str],
    ) -> None:
        directory = self.layout.record(key, made)
        directory.mkdir(parents=True)
        root = {"kind": "rpm" if rpms else "host", "digest": digest(f"root of {sorted(rpms)}")}
        account = {
            "format": 1,
            "attempt": made,
            "name": name,
            "source": {"sha256": digest(source)},
            "environment": [{"name": each, "version": "1", "payload_sha256": digest(each)} for each in needs],
            "root": root,
            "result": {"payload_sha256": digest(payload)} if payload else {"phase": "build", "error": "no"},
        }
        (directory / "record.json").write_text(json.dumps(account))
        contents = {"rpms": [{"name": rpm, "sha256": digest(rpm)} for rpm in rpms]}
        (directory / "plan.json").write_text(json.dumps({"root": {**root, "contents": contents}}))
        (directory / "build.log").write_text("what it said\n")

    def collect(
        self,
        *,
        keep: int = 1,
        pins: Sequence[str] = (),
        locked: Sequence[str] = (),
        repomds: Sequence[str] = (),
        dry_run: bool = False,
        max_size: int | None = None,
    ) -> Report:
        """A pass of gc, for a workspace that pins these sources and locks these RPMs."""
        installer = HostInstaller()
        named = Needed(sources=frozenset(map(digest, pins)), rpms=frozenset(map(digest, locked)))
        roots = Roots(layout=self.layout, store=Store(self.layout), installer=installer, fetch=lambda rpms: {})
        collector = Collector(
            layout=self.layout,
            ground=lambda full: nullcontext(Ground(state=self.state, roots=roots, clear=lambda work: None)),
            named=Named(needed=named, repomds=frozenset(map(digest, repomds))),
            keep=keep,
            dry_run=dry_run,
        )
        return collector.run(max_size)

    def has(self, kind: str, *words: str) -> bool:
        """Whether all of these are in the store."""
        return all((self.layout.kind(kind) / digest(word)).exists() for word in words)

    def left(self, kind: str) -> int:
        """How many names there are of a kind, those of what is unfinished included."""
        directory = self.layout.kind(kind)
        return len(list(directory.iterdir())) if directory.is_dir() else 0


def ledger(root: Path) -> closing[State]:
    """The database of a new state; it has everything that was there before it."""
    state = State.open(Layout(root=root))
    state.add_fact("recovered", "", True)
    return closing(state)


def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said to databases of states that are opened from now on."""
    said: list[str] = []
    connect = State._connect

    def traced(self: State) -> sqlite3.Connection:
        connection = connect(self)
        connection.set_trace_callback(said.append)
        return connection

    monkeypatch.setattr(State, "_connect", traced)
    return said
