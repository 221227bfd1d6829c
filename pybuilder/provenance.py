"""Where a wheel came from, as an in-toto Statement (v1) whose predicate is SLSA provenance (v1): written and read.

The Statement's one subject is the numbered wheel. All that it says of the build is taken from the record of the attempt
that made the payload, so a payload that is published again says the same of itself as the first time. What the fields
mean here, and what a builder's id vouches for, is in docs/provenance.md.

It is not served as PEP 740 provenance, since that form does not fit: version 1 of an attestation must have an X.509
certificate and a signature by ECDSA over P-256, and each bundle names the Trusted Publisher that uploaded the file.
We sign with an ed25519 key of the workspace and nobody uploads anything, so what we served under that name could not be
verified by any client of that PEP. The Statement itself meets the PEP's own rules (one subject, with the wheel's file
name and sha256), so whoever has such an identity can sign the very same bytes for another index.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pybuilder.errors import ValidationError
from pybuilder.names import package_url
from pybuilder.plan import Plan, canonical_json

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:pybuild:build:v1"
PREBUILT_TYPE = "urn:pybuild:prebuilt:v1"
BILL = ".cdx.json"
"""What follows a wheel's name in that of its bill of materials."""
CLEAN, DIRTY, UNVERSIONED = "clean", "dirty", "unversioned"

_ASKED = frozenset({"workspace", "package", "version", "buildroot"})
_BUILDER = re.compile(rf"urn:pybuild:builder:([a-z]+)(?::({DIRTY}|{UNVERSIONED}))?\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+\Z")
_GIT = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:\S+) ([0-9a-f]{40,64})\Z")
# Clocks of well-kept machines differ by less.
_TOLERANCE = timedelta(minutes=5)
_ANEW = "get it again from where it was published"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Input:
    """One thing that went into a build.

    Attributes:
        kind: ``source``, ``patch``, ``rpm`` or ``wheel``, which stands for a payload of the build environment.
        name: A file's name, a patch's path in the workspace, an RPM's name and EVRA, a package's name.
        version: Of a wheel; else empty.
        sha256: Its digest, in lower-case hex.
        uri: Where it came from or what it is, if that is known.
    """

    kind: str
    name: str
    version: str
    sha256: str
    uri: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """What a Statement of ours says.

    Attributes:
        wheel: The file name of the numbered wheel.
        wheel_sha256: Its digest.
        payload_sha256: The digest of the payload that was numbered.
        prebuilt: Whether that is upstream's wheel, and nothing was built.
        name: The package, normalised.
        version: Upstream's version.
        buildroot: Where it was built.
        engine: What sealed it.
        commit: The workspace's commit, or empty where there was none.
        workspace: Whether that had all that the build read: ``clean``, ``dirty`` or ``unversioned``.
        key: The plan's digest.
        attempt: The id of the attempt that made the payload.
        source_date_epoch: The time of the newest file of the source.
        inputs: What went into it, sorted.
        record: Digests of the files of its record, by their paths below the index.
        bill: Digest of the bill of materials beside the wheel; empty where none is named.
        started: When the build began, in UTC.
        finished: When it had ended.
    """

    wheel: str
    wheel_sha256: str
    payload_sha256: str
    prebuilt: bool
    name: str
    version: str
    buildroot: str
    engine: str
    commit: str
    workspace: str
    key: str
    attempt: str
    source_date_epoch: int
    inputs: tuple[Input, ...]
    record: Mapping[str, str]
    bill: str
    started: datetime
    finished: datetime


def statement(
    *, wheel: str, wheel_sha256: str, account: Mapping[str, Any], plan: Plan, record: Mapping[str, str]
) -> bytes:
    """The Statement of a numbered wheel, the same bytes for the same facts.

    Args:
        wheel: Its file name.
        wheel_sha256: Its digest.
        account: The record of the attempt that made its payload, as ``record.read_record`` gives it.
        plan: What that attempt tried.
        record: Digests of that record's files, by their paths below the index; and of the bill of materials beside
            the wheel, so that whoever signs this vouches for it, too.
    """
    return canonical_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": wheel, "digest": {"sha256": wheel_sha256}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "buildDefinition": _definition(account, plan),
                "runDetails": _run(account, record),
            },
        }
    )


def inputs(account: Mapping[str, Any], plan: Plan) -> tuple[Input, ...]:
    """What went into a build, as its record has it; sorted.

    Args:
        account: The record.
        plan: Its plan, which has the RPMs.
    """
    source = account["source"]
    uri = _source_uri(source["origin"])
    found = [Input(kind="source", name=source["file"], version="", sha256=source["sha256"], uri=uri)]
    for patch in account["patches"]:
        found.append(Input(kind="patch", name=patch["file"], version="", sha256=patch["sha256"], uri=""))
    for rpm in plan.root.contents.get("rpms", ()):
        name = f"{rpm['name']}-{rpm['evra']}"
        found.append(Input(kind="rpm", name=name, version="", sha256=rpm["sha256"], uri=""))
    for each in account["environment"]:
        purl = package_url("pypi", each["name"], each["version"])
        digest = each["payload_sha256"]
        found.append(Input(kind="wheel", name=each["name"], version=each["version"], sha256=digest, uri=purl))
    return tuple(sorted(found))


def _source_uri(origin: str) -> str:
    """A source's origin as a URI, a git one in the form that pip and SPDX have; empty for a path in the workspace."""
    if git := _GIT.match(origin):
        return f"git+{git[1]}@{git[2]}"
    return origin if _URI.match(origin) else ""


def _definition(account: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """SLSA's BuildDefinition: what was asked for, what that led to, and everything that went in."""
    return {
        "buildType": PREBUILT_TYPE if account.get("prebuilt") else BUILD_TYPE,
        "externalParameters": asked(account),
        "internalParameters": {
            "channel": account["channel"],
            "target": account["target"],
            "key": account["key"],
            "recipe": account["recipe"],
            "root": account["root"],
            "sourceDateEpoch": account["source_date_epoch"],
            "sealed": bool(account["seal"]),
            "prebuilt": account.get("prebuilt") or "",
            "tainted": list(account.get("tainted", ())),
        },
        "resolvedDependencies": [*_commit(account), *map(_descriptor, inputs(account, plan))],
    }


def asked(account: Mapping[str, Any]) -> dict[str, Any]:
    """SLSA's externalParameters: what was asked for, and of which workspace, as a record has it."""
    return {
        "workspace": _workspace(account),
        "package": account["name"],
        "version": account["version"],
        "buildroot": account.get("buildroot", account["channel"]),
    }


def _workspace(account: Mapping[str, Any]) -> dict[str, str]:
    """The workspace's commit and whether that was all; records of old say nothing of it."""
    known = account.get("workspace") or {}
    return {"commit": known.get("commit", ""), "state": known.get("state", UNVERSIONED)}


def _commit(account: Mapping[str, Any]) -> list[dict[str, Any]]:
    workspace = _workspace(account)
    if not workspace["commit"]:
        return []
    return [
        {
            "name": "workspace",
            "digest": {"gitCommit": workspace["commit"]},
            "annotations": {"kind": "workspace", "state": workspace["state"]},
        }
    ]


def _descriptor(each: Input) -> dict[str, Any]:
    """in-toto's ResourceDescriptor (v1) of an input."""
    annotations = {"kind": each.kind} | ({"version": each.version} if each.version else {})
    uri = {"uri": each.uri} if each.uri else {}
    return {"name": each.name, **uri, "digest": {"sha256": each.sha256}, "annotations": annotations}


def _run(account: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """SLSA's RunDetails: who built it, when, and what is left of that."""
    state = _workspace(account)["state"]
    started = datetime.fromisoformat(account["started"])
    files = {**files, "payload": account["result"]["payload_sha256"]}
    return {
        "builder": {
            "id": f"urn:pybuild:builder:{account['engine']}" + ("" if state == CLEAN else f":{state}"),
            "version": dict(account["tools"]),
        },
        "metadata": {
            "invocationId": account["attempt"],
            "startedOn": _time(started),
            "finishedOn": _time(started + timedelta(seconds=account["seconds"])),
        },
        "byproducts": [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in sorted(files.items())],
    }


def _time(moment: datetime) -> str:
    """RFC 3339 in UTC (in-toto, Timestamp)."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


# Reading.


def read_statement(data: bytes, *, where: str) -> Provenance:
    """What a Statement of ours says; whether to believe it is another matter (``signing.signer``).

    Args:
        data: The Statement.
        where: The name of the file it is in, for messages.

    Raises:
        ValidationError: It is no Statement, not of one file, or not SLSA provenance that pybuild has written.
    """
    try:
        document = json.loads(data)
        for key, expected in (("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)):
            if document[key] != expected:
                raise ValueError(f"its {key} is {document[key]!r}, not {expected}")
        [subject] = document["subject"]
        return _read(subject, document["predicate"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError, OSError) as error:
        said = str(error) if isinstance(error, ValueError) else repr(error)
        raise ValidationError(f"this is no provenance of ours: {said}", where=where, cure=_ANEW) from error


def _read(subject: Mapping[str, Any], predicate: Mapping[str, Any]) -> Provenance:
    definition, run = predicate["buildDefinition"], predicate["runDetails"]
    external, internal = definition["externalParameters"], definition["internalParameters"]
    if definition["buildType"] not in (BUILD_TYPE, PREBUILT_TYPE):
        raise ValueError(f"its build type is {definition['buildType']!r}")
    if strange := sorted(external.keys() - _ASKED):
        # Whoever verifies ought not to pass over what was asked for and they don't know (SLSA, externalParameters).
        raise ValueError(f"it has a parameter that is none of ours, {strange[0]!r}")
    builder = _BUILDER.match(run["builder"]["id"])
    if not builder:
        raise ValueError(f"its builder is {run['builder']['id']!r}")
    left = {_text(each["name"]): _digest(each) for each in run["byproducts"]}
    workspace = external["workspace"]
    if workspace["state"] != (builder[2] or CLEAN):
        raise ValueError(f"its builder is {builder[0]}, but its workspace {workspace['state']}")
    return Provenance(
        wheel=_text(subject["name"]),
        wheel_sha256=_digest(subject),
        payload_sha256=left["payload"],
        prebuilt=definition["buildType"] == PREBUILT_TYPE,
        name=_text(external["package"]),
        version=_text(external["version"]),
        buildroot=_text(external["buildroot"]),
        engine=builder[1],
        commit=_text(workspace["commit"]),
        workspace=workspace["state"],
        key=_text(internal["key"]),
        attempt=_text(run["metadata"]["invocationId"]),
        source_date_epoch=_epoch(internal["sourceDateEpoch"]),
        inputs=tuple(sorted(_input(each) for each in definition["resolvedDependencies"] if "sha256" in each["digest"])),
        record={path: digest for path, digest in left.items() if _is_in_record(path)},
        bill=left.get(f"files/{subject['name']}{BILL}", ""),
        started=_moment(run["metadata"]["startedOn"]),
        finished=_moment(run["metadata"]["finishedOn"]),
    )


def _is_in_record(path: str) -> bool:
    """Whether a byproduct is a file of a record; whoever reads it from an index is led nowhere else."""
    first, *rest = path.split("/")
    return (
        first == "records" and bool(rest) and all(part not in ("", ".", "..") and part.isprintable() for part in rest)
    )


def _input(descriptor: Mapping[str, Any]) -> Input:
    annotations = descriptor["annotations"]
    return Input(
        kind=_text(annotations["kind"]),
        name=_text(descriptor["name"]),
        version=_text(annotations.get("version", "")),
        sha256=_digest(descriptor),
        uri=_text(descriptor.get("uri", "")),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _digest(descriptor: Mapping[str, Any]) -> str:
    sha256 = _text(descriptor["digest"]["sha256"])
    if not _SHA256.match(sha256):
        raise ValueError(f"{sha256!r} is no sha256")
    return sha256


def _epoch(seconds: Any) -> int:
    found = int(seconds)
    datetime.fromtimestamp(found, UTC)  # a stranger's number may be of a day that no calendar has
    return found


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)


def clock_problem(provenance: Provenance, now: datetime) -> str:
    """Why the clock that a build was told the time by can't have been right; empty where it may have been.

    Args:
        provenance: What is said of the build.
        now: The time, by a clock that is believed.
    """
    if provenance.finished > now + _TOLERANCE:
        return f"it is said to have been built on {_time(provenance.finished)}, which is to come"
    if provenance.finished < provenance.started:
        return f"it is said to have ended on {_time(provenance.finished)}, before it began"
    if provenance.started.timestamp() + _TOLERANCE.total_seconds() < provenance.source_date_epoch:
        newest = _time(datetime.fromtimestamp(provenance.source_date_epoch, UTC))
        return f"it is said to have been built on {_time(provenance.started)}, but its source is of {newest}"
    return ""
