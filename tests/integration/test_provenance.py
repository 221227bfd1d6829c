"""What a real build says of itself, judged by libraries that we did not write; keys that are kept badly."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from packaging.requirements import Requirement
from packaging.utils import NormalizedName
from packaging.version import Version
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from pybuilder import clock
from pybuilder.errors import SigningError
from pybuilder.events import ignore
from pybuilder.signing import kept_keys
from pybuilder.stages import Adapters, Made
from pybuilder.stages.publish import Item, publish
from pybuilder.state import State
from pybuilder.store import Store
from pybuilder.wheel.canonical import canonicalise
from tests.support.indexes import make_wheel
from tests.support.workspaces import Bench, bench


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def git(here: Bench, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=here.workspace, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(here: Bench) -> str:
    git(here, "init", "-q")
    git(here, "add", "-A")
    git(here, "commit", "-qm", "all")
    return git(here, "rev-parse", "HEAD")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def envelope_path(here: Bench, build: str, tag: str = "py3-none-any") -> Path:
    name, version = build.split("==")
    return here.index.root / "files" / f"{name}-{version}-{tag}.whl.intoto.json"


def key_of(here: Bench) -> SSlibKey:
    shown = here.pybuild("key", "show", "--json").json
    return SSlibKey.from_crypto(_load(shown["pem"]), keyid=shown["keyid"])


def _load(pem: str) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    return load_pem_public_key(pem.encode())


def verified(here: Bench, build: str, *keys: SSlibKey, tag: str = "py3-none-any") -> dict[str, Any]:
    """The predicate of a wheel's Statement, once others' libraries have found nothing wrong with either."""
    path = envelope_path(here, build, tag)
    wheel = path.with_name(path.name.removesuffix(".intoto.json"))
    envelope = Envelope.from_dict(json.loads(path.read_bytes()))
    assert envelope.payload_type == "application/vnd.in-toto+json"
    if keys:
        envelope.verify(list(keys), 1)
    Statement.copy_from_pb(json_format.Parse(envelope.payload, statement_pb2.Statement())).validate()
    document = json.loads(envelope.payload)
    json_format.ParseDict(document["predicate"], provenance_pb2.Provenance())
    assert document["predicateType"] == "https://slsa.dev/provenance/v1"
    assert document["subject"] == [{"name": wheel.name, "digest": {"sha256": sha256(wheel)}}]
    return cast(dict[str, Any], document["predicate"])


def digests(descriptors: list[dict[str, Any]]) -> dict[str, str]:
    return {each["name"]: next(iter(each["digest"].values())) for each in descriptors}


def new_key(here: Bench) -> str:
    ran = here.pybuild("key", "new", "--json")
    assert ran.code == 0, ran.stderr
    return str(ran.json["keyid"])


def test_without_a_key_it_is_written_unsigned_and_says_so(here: Bench) -> None:
    here.accept("alpha")
    ran = here.build("alpha")
    assert "alpha==1.0+pb.1: published, not signed (pybuild key new)" in ran.stderr
    assert json.loads(envelope_path(here, "alpha==1.0+pb.1").read_bytes())["signatures"] == []
    verified(here, "alpha==1.0+pb.1")
    here.check_sound()


def test_a_signed_build_says_all_that_went_into_it(here: Bench) -> None:
    here.accept("beta")
    here.accept("alpha", build_requires=["beta"])
    patch = here.patch("alpha", "tiny.json", '"version": "1.0"', '"version":  "1.0"')
    new_key(here)
    head = commit(here)
    ran = here.build("alpha")
    assert "not signed" not in ran.stderr
    predicate = verified(here, "alpha==1.0+pb.1", key_of(here))
    definition, run = predicate["buildDefinition"], predicate["runDetails"]
    assert definition["externalParameters"] == {
        "workspace": {"commit": head, "state": "clean"},
        "package": "alpha",
        "version": "1.0",
        "buildroot": "host",
    }
    [wheel] = next(build["wheels"] for build in ran.json["built"] if build["name"] == "alpha")
    [beta] = here.index.files(NormalizedName("beta"))
    source = here.upstream.directory / "alpha-1.0.tar.gz"
    environment = json.loads((Path(wheel["log"]).parent / "record.json").read_bytes())["environment"]
    assert [each["name"] for each in environment] == ["beta"]
    assert digests(definition["resolvedDependencies"]) == {
        "workspace": head,
        "alpha-1.0.tar.gz": sha256(source),
        "patches/alpha/0001-change.patch": sha256(patch),
        "beta": environment[0]["payload_sha256"],
    }
    assert environment[0]["payload_sha256"] != beta.sha256
    assert run["builder"]["id"] == "urn:pybuild:builder:host"
    byproducts = digests(run["byproducts"])
    assert byproducts.pop("payload") == wheel["payload_sha256"]
    assert {Path(path).name for path in byproducts} >= {"build.log", "plan.json", "record.json", "environment.txt"}
    assert "files/alpha-1.0+pb.1-py3-none-any.whl.cdx.json" in byproducts
    assert byproducts == {path: sha256(here.index.root / path) for path in byproducts}
    assert f"records/{wheel['payload_sha256']}/{wheel['attempt']}/patches/0001-change.patch" in byproducts
    here.check_sound()


def test_the_key_is_in_workspace_and_index(here: Bench) -> None:
    here.accept("alpha")
    keyid = new_key(here)
    here.build("alpha")
    in_workspace, in_index = kept_keys(here.workspace / "keys"), kept_keys(here.index.root / "keys")
    assert list(in_workspace) == [keyid]
    assert in_workspace == in_index


@pytest.mark.parametrize("state", ["dirty", "unversioned"])
def test_a_workspace_that_no_commit_tells_has_another_builder(here: Bench, state: str) -> None:
    here.accept("alpha")
    head = commit(here) if state == "dirty" else ""
    here.spec("alpha", '[build]\nenv = { FLAG = "1" }\n')
    here.build("alpha")
    predicate = verified(here, "alpha==1.0+pb.1")
    assert predicate["runDetails"]["builder"]["id"] == f"urn:pybuild:builder:host:{state}"
    assert predicate["buildDefinition"]["externalParameters"]["workspace"] == {"commit": head, "state": state}


def test_the_pin_that_a_build_writes_makes_nothing_dirty(here: Bench) -> None:
    here.accept("alpha")
    commit(here)
    here.build("alpha")
    assert "sha256" in here.spec_text("alpha")
    assert verified(here, "alpha==1.0+pb.1")["runDetails"]["builder"]["id"] == "urn:pybuild:builder:host"


def test_a_payload_that_is_published_again_names_the_commit_it_was_built_from(here: Bench) -> None:
    """Reverting a change publishes the old payload under the next number, without a build."""
    here.accept("alpha", act="FACTS['module'] = f'FLAG = {__import__(\"os\").environ.get(\"FLAG\")!r}\\n'")
    first = commit(here)
    here.build("alpha")
    plain = here.spec_text("alpha")
    here.spec("alpha", '[build]\nenv = { FLAG = "1" }\n')
    git(here, "commit", "-qam", "flag")
    here.build("alpha")
    (here.workspace / "specs" / "alpha.toml").write_text(plain)
    git(here, "commit", "-qam", "no flag")
    assert here.build("alpha").built() == ["alpha==1.0+pb.3"]
    assert here.outcomes("alpha") == ["succeeded", "succeeded"]
    one, three = (verified(here, f"alpha==1.0+pb.{number}") for number in (1, 3))
    bills = [
        next(each for each in predicate["runDetails"]["byproducts"] if each["name"].startswith("files/"))
        for predicate in (one, three)
    ]
    for predicate, bill in zip((one, three), bills, strict=True):
        predicate["runDetails"]["byproducts"].remove(bill)
    assert one == three
    assert one["buildDefinition"]["externalParameters"]["workspace"]["commit"] == first


def test_upstreams_wheel_says_that_nothing_was_built(here: Bench, tmp_path: Path) -> None:
    wheel = make_wheel(here.upstream.directory, "alpha", "1.0", requires_python="")
    here.spec("alpha", '[prebuilt]\nreason = "no compiler for it"\n')
    here.build("alpha==1.0")
    definition = verified(here, "alpha==1.0+pb.1")["buildDefinition"]
    assert definition["buildType"] == "urn:pybuild:prebuilt:v1"
    assert digests(definition["resolvedDependencies"]) == {wheel.name: sha256(wheel)}


class TestKeys:
    def test_a_key_that_others_can_read_signs_nothing(self, here: Bench) -> None:
        here.accept("alpha")
        new_key(here)
        here.layout.key.chmod(0o644)
        ran = here.build("alpha", code=3)
        [failed] = ran.json["failed"]
        assert (failed["phase"], "can be read or changed by others" in failed["error"]) == ("sign", True)
        assert here.outcomes("alpha") == []  # told before anything is built
        here.layout.key.chmod(0o600)
        assert here.build("alpha").built() == ["alpha==1.0+pb.1"]
        verified(here, "alpha==1.0+pb.1", key_of(here))

    def test_a_key_that_was_opened_to_others_since_signs_nothing(self, here: Bench) -> None:
        here.accept("alpha")
        new_key(here)
        here.build("alpha")
        here.layout.key.chmod(0o640)
        assert here.build("alpha").cached() == ["alpha==1.0+pb.1"]  # nothing is to be signed
        with closing(State.open(here.layout)) as state:
            made, adapters = TestSeveralTargets.made(here, state), TestSeveralTargets.adapters(here, state)
            with pytest.raises(SigningError, match="can be read or changed by others"):
                publish(adapters, [Item(made=made, force=True)])
        here.layout.key.chmod(0o600)
        assert here.rebuild("alpha==1.0").built() == ["alpha==1.0+pb.2"]  # no number was spent
        here.check_sound()

    def test_a_damaged_key_signs_nothing(self, here: Bench) -> None:
        here.accept("alpha")
        new_key(here)
        here.layout.key.write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
        [failed] = here.build("alpha", code=3).json["failed"]
        assert "damaged" in failed["error"]
        assert here.pybuild("key", "show").code == 3
        here.check_sound()

    def test_what_a_former_key_signed_still_verifies(self, here: Bench) -> None:
        here.accept("alpha")
        new_key(here)
        here.build("alpha")
        old = key_of(here)
        assert here.pybuild("key", "rotate").code == 0
        here.rebuild("alpha==1.0")
        new = key_of(here)
        assert old.keyid != new.keyid
        verified(here, "alpha==1.0+pb.1", old)
        verified(here, "alpha==1.0+pb.2", new)
        with pytest.raises(VerificationError):
            verified(here, "alpha==1.0+pb.2", old)
        assert here.pybuild("key", "show", "--json").json["former"] == [old.keyid]
        assert set(kept_keys(here.index.root / "keys")) == {old.keyid, new.keyid}
        here.check_sound()

    def test_new_and_rotate_ask_for_each_other(self, here: Bench) -> None:
        for command, other in (("rotate", "new"), ("show", "new")):
            ran = here.pybuild("key", command)
            assert (ran.code, f"pybuild key {other}" in ran.stderr) == (2, True)
        keyid = new_key(here)
        again = here.pybuild("key", "new")
        assert (again.code, "pybuild key rotate" in again.stderr) == (2, True)
        shown = here.pybuild("key", "show")
        assert shown.stdout.startswith(f"{keyid}\n-----BEGIN PUBLIC KEY-----\n")
        assert "PRIVATE" not in shown.stdout
        (here.workspace / "keys" / f"{keyid}.pem").unlink()
        assert "the workspace lacks this key" in here.pybuild("key", "show").stderr

    def test_a_build_cannot_read_it(self, here: Bench) -> None:
        new_key(here)
        here.accept(
            "alpha",
            act=f"try:\n    open({str(here.layout.key)!r}).read()\nexcept OSError as error:\n    print(type(error))\n"
            "else:\n    raise SystemExit('it could be read')",
        )
        here.build("alpha")
        assert "FileNotFoundError" in here.log(here.attempts("alpha")[0]["id"])


def test_a_cached_build_asks_git_nothing(here: Bench) -> None:
    here.accept("alpha")
    new_key(here)
    commit(here)
    here.build("alpha")
    asked = here.root / "asked"
    fake = here.root / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" >> {asked}\nexit 1\n')
    fake.chmod(0o755)
    here.environ["PATH"] = f"{fake.parent}:{os.environ['PATH']}"
    assert here.build("alpha").cached() == ["alpha==1.0+pb.1"]
    assert not asked.exists()
    here.rebuild("alpha==1.0")
    assert asked.exists()


class TestSeveralTargets:
    """A number covers every target: one that joins it, and those that are published again, have their envelopes too."""

    @staticmethod
    def adapters(here: Bench, state: State) -> Adapters:
        world = SimpleNamespace(
            layout=here.layout,
            store=Store(here.layout),
            state=state,
            index=here.index,
            channel=SimpleNamespace(name="host", label="pb", buildroot="host"),
            listen=ignore,
            now=clock.now,
        )
        return cast(Adapters, world)

    @staticmethod
    def made(here: Bench, state: State) -> Made:
        """What was built."""
        [attempt] = state.attempts("alpha")
        assert attempt.payload is not None
        path = Store(here.layout).payload(attempt.payload)
        assert path is not None
        return Made(
            name=NormalizedName("alpha"),
            version=Version("1.0"),
            sha256=attempt.payload,
            path=path,
            key=attempt.key,
            recipe=attempt.recipe,
            attempt=attempt.id,
            target=attempt.target,
            requires_dist=(Requirement("six"),),
        )

    @staticmethod
    def other(here: Bench, made: Made) -> Made:
        """The same for another target, as if an attempt had made it."""
        wheel = make_wheel(here.root / "other", "alpha", "1.0", tag="cp399-none-any")
        work = here.state / "work" / "payload.whl"
        payload = canonicalise(wheel, work, epoch=1_600_000_000)
        path = Store(here.layout).add_payload(work, sha256=payload.sha256, name=payload.filename)
        attempt = made.attempt[:-6] + "ffffff"
        record = here.layout.record(made.key, attempt)
        subprocess.run(["cp", "-a", str(here.layout.record(made.key, made.attempt)), str(record)], check=True)
        account = json.loads((record / "record.json").read_bytes())
        account |= {"attempt": attempt, "result": {"payload_sha256": payload.sha256, "filename": payload.filename}}
        (record / "record.json").write_text(json.dumps(account))
        return replace(made, sha256=payload.sha256, path=path, attempt=attempt, target="cp399-any")

    def test_each_wheel_has_its_own(self, here: Bench) -> None:
        here.accept("alpha")
        new_key(here)
        here.build("alpha")
        key = key_of(here)
        first = envelope_path(here, "alpha==1.0+pb.1").read_bytes()
        with closing(State.open(here.layout)) as state:
            adapters, made = self.adapters(here, state), self.made(here, state)
            other = self.other(here, made)
            [joined] = publish(adapters, [Item(made=other, force=False)])
            assert joined.number == 1
            assert envelope_path(here, "alpha==1.0+pb.1").read_bytes() == first
            assert here.index.verify() == ()
            [again] = publish(adapters, [Item(made=made, force=True)])
            assert again.number == 2
        for number in (1, 2):
            for tag, each in (("py3-none-any", made), ("cp399-none-any", other)):
                predicate = verified(here, f"alpha==1.0+pb.{number}", key, tag=tag)
                assert predicate["runDetails"]["metadata"]["invocationId"] == each.attempt
                assert digests(predicate["runDetails"]["byproducts"])["payload"] == each.sha256
        here.check_sound()


def test_the_payload_is_the_statement_and_nothing_else(here: Bench) -> None:
    """So that whoever has another identity can sign the very bytes, for an index of another form."""
    here.accept("alpha")
    here.build("alpha")
    payload = b64decode(json.loads(envelope_path(here, "alpha==1.0+pb.1").read_bytes())["payload"])
    assert json.loads(payload)["_type"] == "https://in-toto.io/Statement/v1"
