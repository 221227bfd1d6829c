"""What a record says of a build, and the envelopes that are made of it, without a build."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pybuilder.plan import Ingredient, Root, Target
from pybuilder.provenance import statement
from pybuilder.record import record_json
from pybuilder.signing import PrivateKey, seal
from tests.support.plans import plan_with

SOURCE, PATCH, RPM, BACKEND, PAYLOAD = (letter * 64 for letter in "abcde")
COMMIT = "12" * 20
ATTEMPT = "20260101T000000.000000Z-abcdef"

_GCC = {
    "name": "gcc",
    "evra": "15.2.1-1.fc45.x86_64",
    "sha256": RPM,
    "repository": "fedora",
    "source": "gcc-15.2.1-1.fc45.src.rpm",
    "key": "31645531",
}
PLAN = plan_with(
    recipe={"name": "six", "version": "1.17.0", "source": SOURCE, "patches": (PATCH,)},
    root=Root(kind="rpm", digest="9" * 64, contents={"base": ["gcc"], "rpms": [_GCC]}),
    target=Target(name="cp314-linux_x86_64", python="3.14", full_version="3.14.0", tags=(), markers={}),
    requires=("setuptools",),
    environment=(Ingredient(name="setuptools", version="80.9.0", payload=BACKEND),),
    source_date_epoch=1_700_000_000,
    build_path="/build/six-1.17.0",
)


def account(**changes: Any) -> dict[str, Any]:
    """The record of an attempt at ``PLAN``; the changes are arguments of ``record_json``."""
    facts: dict[str, Any] = {
        "attempt": ATTEMPT,
        "plan": PLAN,
        "source": {"file": "six-1.17.0.tar.gz", "sha256": SOURCE, "origin": "https://files.example/six-1.17.0.tar.gz"},
        "patches": [{"file": "patches/six/0001-fix.patch", "sha256": PATCH}],
        "channel": "fedora-45-debug",
        "buildroot": "fedora-45",
        "workspace": {"commit": COMMIT, "state": "clean"},
        "started": "2026-01-01T00:00:00.000001Z",
        "seconds": 1.5,
        "phases": {},
        "engine": "podman",
        "seal": {"interfaces": ["lo"]},
        "tools": {"podman": "5.8.0"},
        "log_sha256": "0" * 64,
        "result": {"payload_sha256": PAYLOAD, "filename": "six-1.17.0-py3-none-any.whl"},
    }
    return dict(json.loads(record_json(**facts | changes)))


def envelope(
    wheel: str, sha256: str, *, key: PrivateKey | None = None, record: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    """The envelope of a wheel that ``PLAN`` made, whatever it is called; its record's files are those given."""
    said = statement(wheel=wheel, wheel_sha256=sha256, account=account(), plan=PLAN, record=record)
    return seal(said, key).as_bytes
