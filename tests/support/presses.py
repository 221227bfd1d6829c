"""A published index whose wheels have records, sources and provenance, made without building anything."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from packaging.version import Version

from pybuilder.files import sha256_file
from pybuilder.index import Index, Release, Source
from pybuilder.index.reader import DirectoryReader
from pybuilder.plan import Ingredient, Plan, Root, Target, digest, rpm_root_digest
from pybuilder.provenance import BILL
from pybuilder.record import record_json
from pybuilder.signing import SUFFIX, PrivateKey, seal
from pybuilder.stages.envelope import envelope
from pybuilder.wheel.canonical import canonicalise
from pybuilder.wheel.numbering import number
from tests.support.indexes import open_index
from tests.support.plans import plan_with
from tests.support.wheels import EPOCH, Draft

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
STARTED = datetime(2026, 1, 2, 11, 0, tzinfo=UTC)
RPMS = tuple(
    {
        "name": name,
        "evra": "1-1.x86_64",
        "sha256": hashlib.sha256(name.encode()).hexdigest(),
        "repository": "",
        "source": "",
        "key": "",
    }
    for name in ("bash", "gcc")
)
TARGET = Target(
    name="cp311-linux_x86_64",
    python="3.11",
    full_version="3.11.7",
    # As many as an interpreter accepts.
    tags=tuple(f"cp311-cp311-manylinux_2_{number}_x86_64" for number in range(900)),
    markers={},
)
PATCH = b"--- a/x\n+++ b/x\n"


def host_root() -> Root:
    contents = {"os_release": "x"}
    return Root(kind="host", digest=digest(contents), contents=contents)


def rpm_root(rpms: Sequence[Mapping[str, str]] = RPMS) -> Root:
    address = rpm_root_digest(((f"{rpm['name']}-{rpm['evra']}", rpm["sha256"]) for rpm in rpms), {})
    return Root(kind="rpm", digest=address, contents={"base": [], "rpms": [dict(rpm) for rpm in rpms]})


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A wheel that was published."""

    ingredient: Ingredient
    wheel: Path
    record: Path
    source: Path
    plan: Plan

    @property
    def envelope(self) -> Path:
        """The file beside it."""
        return self.wheel.with_name(self.wheel.name + SUFFIX)

    def moved(self, old: Path, new: Path) -> Made:
        """The same in a copy of the state."""
        paths = {name: new / getattr(self, name).relative_to(old) for name in ("wheel", "record", "source")}
        return replace(self, **paths)

    def edit(self, name: str, change: Any) -> None:
        """Change a document of its record; ``change`` gets it and changes it in place."""
        file = self.record / name
        document = json.loads(file.read_bytes())
        change(document)
        file.write_bytes(json.dumps(document).encode())


@dataclass(kw_only=True)
class Press:
    """Publishes into the index of a state.

    Attributes:
        state: The state.
        key: Signs what is published; None leaves it unsigned.
        root: On which everything is said to be built.
        workspace: What records say of the workspace.
    """

    state: Path
    key: PrivateKey | None = None
    root: Root = field(default_factory=rpm_root)
    workspace: Mapping[str, str] = field(default_factory=lambda: {"commit": "c" * 40, "state": "clean"})
    count: int = 0

    @property
    def index(self) -> Index:
        """The published tree."""
        return open_index(self.state)

    def publish(self, name: str = "six", version: str = "1.0", **facts: Any) -> Made:
        """Publish a wheel; the facts are those of ``release``."""
        release, made = self.release(name, version, **facts)
        self.index.publish([release])
        return made

    def release(
        self,
        name: str,
        version: str,
        *,
        number_: int = 1,
        environment: Sequence[Made] = (),
        module: bytes = b"VALUE = 1\n",
        prebuilt: str = "",
        patched: bool = False,
        files: Mapping[str, bytes] = MappingProxyType({}),
    ) -> tuple[Release, Made]:
        """What is to be published, and where it then lies."""
        work = self.state / "out" / f"{self.count}"
        work.mkdir(parents=True)
        attempt = f"{STARTED:%Y%m%dT%H%M%S.%f}Z-{self.count:06x}"
        self.count += 1
        draft = Draft(name=name, version=version, files={f"{name}.py": module, **files}).write(work)
        (work / "payload").mkdir()
        payload = canonicalise(draft, work / "scratch", epoch=EPOCH)
        kept = (work / "scratch").rename(work / "payload" / payload.filename)
        source = work / f"{name}-{version}.tar.gz"
        source.write_bytes(f"source of {name} {version}".encode())
        plan = self.plan(name, version, sha256_file(source), environment, patched=patched)
        record = work / attempt
        self.write_record(
            record, plan, source, prebuilt=prebuilt, patched=patched, payload=(payload.sha256, payload.filename)
        )
        numbered = number(kept, work, label="pb", number=number_, sbom=b"{}\n")
        bill = b"{}\n"
        said = envelope(
            record,
            wheel=numbered.path.name,
            sha256=numbered.sha256,
            account=json.loads((record / "record.json").read_bytes()),
            plan=plan,
            bill=bill,
            key=self.key,
        )
        release = Release(
            wheel=numbered.path,
            sha256=numbered.sha256,
            upload_time=NOON,
            payload_sha256=payload.sha256,
            source=None if prebuilt else Source(path=source, sha256=sha256_file(source)),
            record=record,
            beside={BILL: bill, SUFFIX: said},
        )
        root = self.index.root
        made = Made(
            ingredient=Ingredient(name=name, version=version, payload=payload.sha256),
            wheel=root / "files" / numbered.path.name,
            record=root / "records" / payload.sha256 / attempt,
            source=root / "sources" / "files" / source.name,
            plan=plan,
        )
        return release, made

    def plan(self, name: str, version: str, source: str, environment: Sequence[Made], *, patched: bool) -> Plan:
        return plan_with(
            recipe={
                "name": name,
                "version": str(Version(version)),
                "source": source,
                "patches": (hashlib.sha256(PATCH).hexdigest(),) if patched else (),
            },
            root=self.root,
            target=TARGET,
            environment=tuple(sorted(each.ingredient for each in environment)),
            source_date_epoch=EPOCH,
            build_path=f"/build/{name}-{version}",
        )

    def write_record(
        self, record: Path, plan: Plan, source: Path, *, prebuilt: str, patched: bool, payload: tuple[str, str]
    ) -> None:
        """Write the record of an attempt."""
        record.mkdir()
        (record / "build.log").write_bytes(b"it was built\n")
        (record / "environment.txt").write_bytes(b"")
        if patched:
            (record / "patches").mkdir()
            (record / "patches" / "0001-x.patch").write_bytes(PATCH)
        (record / "record.json").write_bytes(
            record_json(
                attempt=record.name,
                plan=plan,
                source={"file": source.name, "sha256": sha256_file(source), "origin": ""},
                patches=[
                    {"file": f"patches/{plan.recipe.name}/0001-x.patch", "sha256": each} for each in plan.recipe.patches
                ],
                channel="host",
                buildroot="host",
                workspace=dict(self.workspace),
                started=STARTED.isoformat().replace("+00:00", "Z"),
                seconds=1.0,
                phases={},
                engine="podman" if plan.root.kind == "rpm" else "host",
                seal={} if prebuilt else {"uid": 1000},
                tools={},
                log_sha256=sha256_file(record / "build.log"),
                result={"payload_sha256": payload[0], "filename": payload[1]},
                prebuilt=prebuilt,
            )
        )
        (record / "plan.json").write_bytes(json.dumps(plan.as_json()).encode())


def sign_again(made: Made, key: PrivateKey, change: Any = None) -> None:
    """Replace the envelope beside a wheel by one of another key, or of another Statement."""
    said = json.loads(base64.b64decode(json.loads(made.envelope.read_bytes())["payload"]))
    if change:
        change(said)
    made.envelope.write_bytes(seal(json.dumps(said).encode(), key).as_bytes)


@dataclass(frozen=True)
class Fetching(DirectoryReader):
    """An index on this disk whose files are copied to be read, as those behind a URL are."""

    scratch: Path
    fetched: list[str] = field(default_factory=list)

    def file(self, path: str) -> Path | None:
        if (file := super().file(path)) is None:
            return None
        self.fetched.append(path)
        copy = self.scratch / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(file, copy))

    def forget(self, path: str) -> None:
        (self.scratch / path).unlink(missing_ok=True)

    def left(self) -> list[Path]:
        """The copies that nobody has removed."""
        return [path for path in self.scratch.rglob("*") if path.is_file()]
