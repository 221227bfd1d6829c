from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

from pybuilder.errors import ValidationError
from pybuilder.provenance import Input, clock_problem, inputs, read_statement, statement
from tests.support.proofs import ATTEMPT, BACKEND, COMMIT, PATCH, PAYLOAD, PLAN, RPM, SOURCE, account

WHEEL = "f" * 64
NAME = "six-1.17.0+pb.2-py3-none-any.whl"
RECORD = {f"records/{PAYLOAD}/{ATTEMPT}/{name}": "0" * 64 for name in ("build.log", "plan.json")}


def written(**changes: Any) -> bytes:
    return statement(wheel=NAME, wheel_sha256=WHEEL, account=account(**changes), plan=PLAN, record=RECORD)


def document(**changes: Any) -> dict[str, Any]:
    return json.loads(written(**changes))


def spoilt(change: Callable[[dict[str, Any]], Any]) -> bytes:
    changed = copy.deepcopy(document())
    change(changed)
    return json.dumps(changed).encode()


def described(descriptors: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    return {each["name"]: each["digest"] for each in descriptors}


def test_the_subject_is_the_numbered_wheel() -> None:
    """One subject, a wheel's name and its sha256: PEP 740's rules for a Statement."""
    assert document()["subject"] == [{"name": NAME, "digest": {"sha256": WHEEL}}]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"engine": "host", "workspace": {"commit": "", "state": "unversioned"}},
        {"prebuilt": "needs a compiler of 1970", "tainted": [{"name": "a", "reason": "ä\u2028"}]},
        {"started": "1970-01-01T00:00:00.000000Z"},
        {"started": "2999-01-01T00:00:00.000000Z"},
    ],
)
def test_it_is_an_in_toto_statement_of_slsa_provenance(changes: dict[str, Any]) -> None:
    """By the protocol buffers of in-toto's own library, which refuse fields that they don't know."""
    data = written(**changes)
    theirs = json_format.Parse(data, statement_pb2.Statement())
    Statement.copy_from_pb(theirs).validate()
    predicate = json_format.ParseDict(json.loads(data)["predicate"], provenance_pb2.Provenance())
    assert predicate.build_definition.build_type
    assert predicate.build_definition.external_parameters["package"] == "six"
    assert predicate.run_details.builder.id
    assert predicate.run_details.metadata.started_on.ToJsonString() == document(**changes)["predicate"]["runDetails"][
        "metadata"
    ]["startedOn"].replace(".000000Z", "Z")
    descriptors = [*predicate.build_definition.resolved_dependencies, *predicate.run_details.byproducts]
    assert len(descriptors) >= 6
    for each in descriptors:
        ResourceDescriptor.copy_from_pb(each).validate()


def test_what_was_asked_for() -> None:
    definition = document()["predicate"]["buildDefinition"]
    assert definition["externalParameters"] == {
        "workspace": {"commit": COMMIT, "state": "clean"},
        "package": "six",
        "version": "1.17.0",
        "buildroot": "fedora-45",
    }
    assert not definition["externalParameters"].keys() & definition["internalParameters"].keys()


def test_everything_that_went_in_has_its_digest() -> None:
    dependencies = described(document()["predicate"]["buildDefinition"]["resolvedDependencies"])
    assert dependencies == {
        "workspace": {"gitCommit": COMMIT},
        "six-1.17.0.tar.gz": {"sha256": SOURCE},
        "patches/six/0001-fix.patch": {"sha256": PATCH},
        "gcc-15.2.1-1.fc45.x86_64": {"sha256": RPM},
        "setuptools": {"sha256": BACKEND},
    }


def test_what_is_left_of_the_build() -> None:
    run = document()["predicate"]["runDetails"]
    assert described(run["byproducts"]) == {
        "payload": {"sha256": PAYLOAD},
        **{path: {"sha256": sha256} for path, sha256 in RECORD.items()},
    }
    assert run["metadata"] == {
        "invocationId": "20260101T000000.000000Z-abcdef",
        "startedOn": "2026-01-01T00:00:00.000001Z",
        "finishedOn": "2026-01-01T00:00:01.500001Z",
    }
    assert run["builder"]["version"]["podman"] == "5.8.0"


def test_builders_of_different_trust_have_different_names() -> None:
    found = {
        (engine, state): document(engine=engine, workspace={"commit": "", "state": state})["predicate"]["runDetails"][
            "builder"
        ]["id"]
        for engine in ("host", "podman")
        for state in ("clean", "dirty", "unversioned")
    }
    assert found["podman", "clean"] == "urn:pybuild:builder:podman"
    assert found["host", "dirty"] == "urn:pybuild:builder:host:dirty"
    assert len(set(found.values())) == 6


def test_a_record_that_says_nothing_of_the_workspace_is_not_taken_for_a_clean_one() -> None:
    old = account()
    del old["workspace"], old["buildroot"]
    data = statement(wheel=NAME, wheel_sha256=WHEEL, account=old, plan=PLAN, record=RECORD)
    read = read_statement(data, where="")
    assert (read.workspace, read.commit, read.buildroot) == ("unversioned", "", "fedora-45-debug")


def test_upstreams_wheel_was_not_built() -> None:
    taken = document(prebuilt="too hard")["predicate"]["buildDefinition"]
    assert taken["buildType"] != document()["predicate"]["buildDefinition"]["buildType"]
    assert taken["internalParameters"]["prebuilt"] == "too hard"
    assert read_statement(written(prebuilt="too hard"), where="").prebuilt


def test_the_same_facts_are_the_same_bytes() -> None:
    assert written() == written()


@pytest.mark.parametrize(
    ("origin", "uri"),
    [
        ("https://files.example/six-1.17.0.tar.gz", "https://files.example/six-1.17.0.tar.gz"),
        (f"https://git.example/six.git {COMMIT}", f"git+https://git.example/six.git@{COMMIT}"),
        ("src/six", ""),
        ("", ""),
    ],
)
def test_where_a_source_came_from(origin: str, uri: str) -> None:
    source = {"file": "six-1.17.0.tar", "sha256": SOURCE, "origin": origin}
    (found,) = (each for each in inputs(account(source=source), PLAN) if each.kind == "source")
    assert found.uri == uri


def test_a_package_url_of_a_local_version() -> None:
    environment = [{"name": "tool", "version": "1!2.0+cu126", "payload_sha256": BACKEND}]
    [wheel] = [each for each in inputs(account() | {"environment": environment}, PLAN) if each.kind == "wheel"]
    assert wheel.uri == "pkg:pypi/tool@1%212.0%2Bcu126"


def test_how_it_was_built() -> None:
    tainted = [{"name": "a", "version": "1", "reason": "no compiler"}]
    said = document(tainted=tainted)["predicate"]["buildDefinition"]["internalParameters"]
    assert said == {
        "channel": "fedora-45-debug",
        "target": PLAN.target.name,
        "key": PLAN.key(),
        "recipe": PLAN.recipe.digest(),
        "root": {"kind": "rpm", "digest": PLAN.root.digest},
        "sourceDateEpoch": PLAN.source_date_epoch,
        "sealed": True,
        "prebuilt": "",
        "tainted": tainted,
    }
    assert not document(seal={})["predicate"]["buildDefinition"]["internalParameters"]["sealed"]


def test_it_is_read_back() -> None:
    read = read_statement(written(), where="")
    assert (read.wheel, read.wheel_sha256, read.payload_sha256) == (NAME, WHEEL, PAYLOAD)
    assert (read.name, read.version, read.buildroot, read.engine) == ("six", "1.17.0", "fedora-45", "podman")
    assert (read.commit, read.workspace, read.prebuilt) == (COMMIT, "clean", False)
    assert (read.key, read.attempt) == (PLAN.key(), "20260101T000000.000000Z-abcdef")
    assert read.record == RECORD
    assert read.inputs == inputs(account(), PLAN)
    wheel = Input(kind="wheel", name="setuptools", version="80.9.0", sha256=BACKEND, uri="pkg:pypi/setuptools@80.9.0")
    assert wheel in read.inputs
    assert [each.kind for each in read.inputs] == ["patch", "rpm", "source", "wheel"]
    assert read.finished - read.started == timedelta(seconds=1.5)


def test_fields_that_others_add_are_passed_over() -> None:
    """SLSA and in-toto ask for it (parsing rules)."""

    def add(d: dict[str, Any]) -> None:
        d["new"] = d["predicate"]["new"] = d["predicate"]["runDetails"]["new"] = 5

    assert read_statement(spoilt(add), where="") == read_statement(written(), where="")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(_type="https://in-toto.io/Statement/v0.1"), "its _type is"),
        (lambda d: d.update(predicateType="https://slsa.dev/provenance/v0.2"), "its predicateType is"),
        (lambda d: d["subject"].append(d["subject"][0]), "no provenance of ours"),
        (lambda d: d["subject"].clear(), "no provenance of ours"),
        (lambda d: d["subject"][0]["digest"].update(sha256="beef"), "no sha256"),
        (lambda d: d["subject"][0].update(digest={"sha512": "a" * 64}), "no provenance of ours"),
        (lambda d: d["subject"][0].update(name=5), "no text"),
        (lambda d: d.pop("predicate"), "predicate"),
        (lambda d: d.update(predicate=[]), "no provenance of ours"),
        (lambda d: d["predicate"]["buildDefinition"].update(buildType="https://elsewhere/v1"), "its build type is"),
        (
            lambda d: d["predicate"]["buildDefinition"]["externalParameters"].update(flags="-O0"),
            "none of ours, 'flags'",
        ),
        (lambda d: d["predicate"]["runDetails"]["builder"].update(id="https://elsewhere"), "its builder is"),
        (lambda d: d["predicate"]["runDetails"]["builder"].update(id="urn:pybuild:builder:podman:dirty"), "workspace"),
        (lambda d: d["predicate"]["runDetails"]["byproducts"].clear(), "payload"),
        (lambda d: d["predicate"]["runDetails"]["metadata"].update(startedOn="yesterday"), "yesterday"),
        (lambda d: d["predicate"]["runDetails"]["metadata"].update(startedOn="2026-01-01T00:00:00"), "no time zone"),
        (lambda d: d["predicate"]["buildDefinition"]["internalParameters"].update(sourceDateEpoch="x"), "x"),
        (lambda d: d["predicate"]["buildDefinition"]["resolvedDependencies"].append({}), "digest"),
    ],
)
def test_another_statement_is_refused(change: Callable[[dict[str, Any]], Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        read_statement(spoilt(change), where="six.whl.intoto.json")
    assert caught.value.where == "six.whl.intoto.json"
    assert caught.value.cure


@pytest.mark.parametrize(
    "path",
    [
        "records/../../etc/passwd",
        "/etc/passwd",
        "records",
        "records//x",
        "records/./x",
        "records/a/\x1b[2J",
        "files/another.whl",
    ],
)
def test_a_path_that_leads_out_of_the_records_is_none_of_theirs(path: str) -> None:
    """Who reads an index follows these paths; their names are a stranger's."""

    def add(d: dict[str, Any]) -> None:
        d["predicate"]["runDetails"]["byproducts"].append({"name": path, "digest": {"sha256": "0" * 64}})

    assert read_statement(spoilt(add), where="").record == RECORD


def test_the_bill_of_materials_is_vouched_for() -> None:
    bill = {f"files/{NAME}.cdx.json": "7" * 64}
    said = statement(wheel=NAME, wheel_sha256=WHEEL, account=account(), plan=PLAN, record=RECORD | bill)
    read = read_statement(said, where="")
    assert (read.bill, read.record) == ("7" * 64, RECORD)
    assert read_statement(written(), where="").bill == ""


@pytest.mark.parametrize("epoch", [10**12, 10**18, 10**30, -(10**12)])
def test_a_time_that_no_calendar_has_is_refused(epoch: int) -> None:
    """Else whoever tells it to a person would fail, each in its own way."""

    def change(d: dict[str, Any]) -> None:
        d["predicate"]["buildDefinition"]["internalParameters"]["sourceDateEpoch"] = epoch

    with pytest.raises(ValidationError, match="no provenance of ours"):
        read_statement(spoilt(change), where="")


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"5", b"{}", b"[" * 100_000])
def test_bytes_that_are_no_statement_are_refused(data: bytes) -> None:
    with pytest.raises(ValidationError, match="no provenance of ours"):
        read_statement(data, where="")


def test_a_clock_that_was_far_off_is_told() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    sound = read_statement(written(), where="")
    assert clock_problem(sound, now) == ""
    assert clock_problem(sound, sound.finished - timedelta(minutes=4)) == ""
    assert "to come" in clock_problem(read_statement(written(started="2999-01-01T00:00:00Z"), where=""), now)
    assert "its source is of 2023" in clock_problem(
        read_statement(written(started="1970-01-02T00:00:00Z"), where=""), now
    )
    turned = replace(sound, finished=sound.started - timedelta(seconds=1))
    assert "before it began" in clock_problem(turned, now)
