"""What is screened once, and what is looked up again."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder import events
from pybuilder.errors import ConfigError, ReviewError, ScreeningError
from pybuilder.layout import Layout
from pybuilder.screening.account import all_remembered, remembered
from pybuilder.screening.dump import Dump
from pybuilder.settings import parse_settings
from pybuilder.spec import parse_spec
from pybuilder.stages import Adapters, AppliedPatch, Source
from pybuilder.stages.screen import Screener
from pybuilder.state import State
from tests.support.sdists import tar_bytes
from tests.unit.test_screening_osv import ALL, record

ELF = b"\x7fELF\x02\x01\x01" + bytes(57)
PATCH = b"--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+\x7fELF\x02\n"
OSV = "advisories = 'osv.zip'\n"


@dataclass
class Here:
    root: Path
    state: State
    heard: list[events.Event] = field(default_factory=list)

    def source(self, *patches: bytes, name: str = "alpha", text: str = "") -> Source:
        archive = self.root / "alpha-1.0.tar.gz"
        archive.write_bytes(gzip.compress(tar_bytes({"lib.txt": ELF}, top="alpha-1.0"), mtime=0))
        files = [self.root / f"{n}.patch" for n, _ in enumerate(patches)]
        for file, content in zip(files, patches, strict=True):
            file.write_bytes(content)
        spec = parse_spec(f'name = "{name}"\n{text}', f"specs/{name}.toml")
        return Source(
            name=NormalizedName(name),
            version=Version("1.0"),
            spec=spec.effective(version=Version("1.0"), buildroot="host", python="3.11"),
            sha256="aa" * 32,
            patches=tuple(AppliedPatch(file=f"patches/{f.name}", path=f, sha256=f.name) for f in files),
            file=archive,
            origin="",
            scm=False,
        )

    def screener(self, settings: str = "") -> Screener:
        adapters = SimpleNamespace(
            state=self.state,
            layout=Layout(root=self.root / "state"),
            listen=self.heard.append,
            now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        )
        policy = parse_settings(f"[screen]\n{settings}", "pybuild.toml").screen
        return Screener(adapters=cast(Adapters, adapters), policy=policy, root=self.root)

    def account(self, name: str = "alpha") -> Any:
        return remembered(self.state, name, "1.0", "aa" * 32)

    def screenings(self) -> int:
        return sum(isinstance(event, events.Started) and event.phase == "screen" for event in self.heard)

    def readings(self) -> int:
        return sum(isinstance(event, events.Preparing) for event in self.heard)

    def dump(self, *names: str) -> None:
        with zipfile.ZipFile(self.root / "new.zip", "w") as archive:
            for name in names:
                archive.writestr(f"{name}.json", json.dumps(record(f"PYSEC-{name}", events=ALL, name=name)))
        (self.root / "new.zip").rename(self.root / "osv.zip")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with closing(State.open(Layout(root=tmp_path / "state"))) as state:
        yield Here(root=tmp_path, state=state)


def test_a_source_is_looked_through_once_whatever_the_policy(here: Here) -> None:
    source = here.source()
    here.screener().screen(source)
    assert [file["path"] for file in here.account()["files"]] == ["lib.txt"]
    source.file.unlink()
    here.screener().screen(source)
    with pytest.raises(ScreeningError):
        here.screener("compiled = 'refuse'").screen(source)
    with pytest.raises(ReviewError):
        here.screener("compiled = 'review'").screen(source)
    assert here.screenings() == 1


def test_a_new_patch_is_looked_through_and_the_source_is_not_again(here: Here) -> None:
    here.screener().screen(here.source())
    patched = here.source(PATCH, b"no patch", PATCH)
    patched.file.unlink()
    here.screener().screen(patched)
    assert [file["path"] for file in here.account()["files"]] == [
        "lib.txt",
        "patches/0.patch: new",
        "patches/2.patch: new",
    ]
    assert here.screenings() == 2


def test_what_is_refused_is_remembered_for_who_wants_to_look(here: Here) -> None:
    with pytest.raises(ScreeningError):
        here.screener("compiled = 'refuse'").screen(here.source())
    assert [file["path"] for file in here.account()["files"]] == ["lib.txt"]
    assert remembered(here.state, "alpha", "1.0", "bb" * 32) is None
    assert all_remembered(here.state, "alph") == []


class TestAdvisories:
    def test_a_dump_is_read_once_for_all(self, here: Here) -> None:
        here.dump("alpha")
        screener = here.screener(OSV)
        screener.screen(here.source())
        screener.screen(here.source(name="beta"))
        here.screener(OSV).screen(here.source(name="gamma"))
        assert [each["id"] for each in here.account()["advisories"]] == ["PYSEC-alpha"]
        assert here.account("beta")["advisories"] == here.account("gamma")["advisories"] == []
        assert here.readings() == 1

    def test_nothing_of_it_is_read_for_what_was_looked_up(self, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
        here.dump("alpha")
        here.screener(OSV).screen(here.source())
        for name in ("index", "advisories", "digest"):
            monkeypatch.setattr(Dump, name, None)
        here.screener(OSV).screen(here.source())
        assert [each["id"] for each in here.account()["advisories"]] == ["PYSEC-alpha"]

    def test_another_dump_is_asked_again(self, here: Here) -> None:
        here.dump("alpha")
        here.screener(OSV).screen(here.source())
        before = here.account()["dump_sha256"]
        here.dump("beta")
        here.screener(OSV).screen(here.source())
        assert here.account()["advisories"] == [] and here.account()["dump_sha256"] != before
        here.screener().screen(here.source())
        assert here.account()["dump_sha256"] is None

    def test_one_that_changes_while_it_is_read_is_not_believed(
        self, here: Here, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here.dump("alpha")
        index = Dump.index

        def changing(self: Dump) -> Any:
            here.dump("beta")
            return index(self)

        monkeypatch.setattr(Dump, "index", changing)
        with pytest.raises(ConfigError, match="were changed while they were read"):
            here.screener(OSV).screen(here.source())
        monkeypatch.undo()
        here.screener(OSV + "advisory = 'refuse'").screen(here.source())
        assert here.account()["advisories"] == []


def test_a_source_of_another_digest_is_another(here: Here) -> None:
    here.screener().screen(here.source())
    here.screener().screen(replace(here.source(), sha256="bb" * 32))
    here.screener().screen(replace(here.source(), sha256="cc" * 32, version=Version("1.10")))
    here.screener().screen(replace(here.source(), sha256="cc" * 32, version=Version("1.9")))
    assert here.screenings() == 3
    told = [(each["version"], each["sha256"][:2]) for each in all_remembered(here.state, "alpha")]
    assert told == [("1.10", "cc"), ("1.9", "cc"), ("1.0", "bb"), ("1.0", "aa")]
