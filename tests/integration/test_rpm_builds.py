"""Builds in roots of locked RPMs, under podman as root: from a spec to a wheel, and what is told of its RPMs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.distribution import distribution, missing_tools
from tests.support.fedora import LINKED, NAME, fedora_bench, lock
from tests.support.workspaces import Bench, Ran, control_groups, plan_of, processes_of, wait_for

YAML = '[system]\nbuild = ["libyaml-devel"]\nruntime = ["libyaml"]\n'


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    if missing := missing_tools():
        pytest.fail(missing)


@pytest.fixture(scope="module")
def nodot() -> str:
    """The distribution's Python as tags have it: ``311``."""
    return distribution().python.replace(".", "")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One bench for the tests of this file, since its roots take seconds; each test has packages of its own."""
    with fedora_bench(tmp_path_factory.mktemp("rpm")) as made:
        made.accept("alpha")
        made.accept("linked", spec=YAML, static=False, act=LINKED)
        made.accept("also-linked", spec=YAML, static=False, act=LINKED)
        lock(made)
        yield made
        assert containers(made) == []


def containers(here: Bench) -> list[str]:
    """The containers of a state, running or not."""
    argv = ["podman", "ps", "--all", "--format", '{{index .Labels "pybuild.work"}}']
    listed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return [work for work in listed.split() if work.startswith(str(here.state))]


def roots(here: Bench) -> set[str]:
    return {path.name for path in here.layout.roots.iterdir() if len(path.name) == 64}


def only(ran: Ran) -> Any:
    [build] = ran.json["built"]
    return build


def system_of(here: Bench, build: Any) -> Any:
    """What is published of the RPMs that a wheel needs."""
    wheel = build["wheels"][0]
    records = here.state / "index" / NAME / "records"
    return json.loads((records / wheel["payload_sha256"] / wheel["attempt"] / "system.json").read_text())


class TestBuild:
    def test_a_build_says_what_it_stood_on(self, here: Bench, nodot: str) -> None:
        build = only(here.build("alpha"))
        assert build["channel"] == NAME
        assert [(wheel["engine"], wheel["sealed"], wheel["target"]) for wheel in build["wheels"]] == [
            ("podman", True, f"cp{nodot}-linux_x86_64")
        ]
        root = plan_of(here.state, build)["root"]
        assert root["kind"] == "rpm"
        assert {"gcc", "python3-devel", "bash"} <= {rpm["name"] for rpm in root["contents"]["rpms"]}
        assert root["digest"] in roots(here)
        account = json.loads((Path(build["wheels"][0]["log"]).parent / "record.json").read_text())
        assert account["root"] == {"kind": "rpm", "digest": root["digest"]}
        assert account["tools"]["podman"]
        assert account["seal"]["interfaces"] == ["lo"]

    def test_its_provenance_names_each_rpm_by_digest(self, here: Bench) -> None:
        build = here.build("alpha").json["cached"][0]
        wheel = Path(build["wheels"][0]["wheel"])
        envelope = json.loads(wheel.with_name(f"{wheel.name}.intoto.json").read_text())
        predicate = json.loads(b64decode(envelope["payload"]))["predicate"]
        assert predicate["runDetails"]["builder"]["id"] == "urn:pybuild:builder:podman:unversioned"
        named = {
            each["name"]: each["digest"]["sha256"]
            for each in predicate["buildDefinition"]["resolvedDependencies"]
            if each["annotations"]["kind"] == "rpm"
        }
        rpms = plan_of(here.state, build)["root"]["contents"]["rpms"]
        assert named == {f"{rpm['name']}-{rpm['evra']}": rpm["sha256"] for rpm in rpms}

    def test_its_bill_of_materials_names_every_rpm(self, here: Bench) -> None:
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
        from packageurl import PackageURL

        ran = here.build("alpha")
        [build] = ran.json["built"] or ran.json["cached"]
        data = Path(f"{build['wheels'][0]['wheel']}.cdx.json").read_text()
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data) is None
        components = json.loads(data)["components"]
        [root] = [each for each in components if each["type"] == "operating-system"]
        found = set()
        for each in components:
            if each["bom-ref"].startswith("rpm:"):
                purl = PackageURL.from_string(each["purl"])
                assert purl.namespace == root["name"] == "fedora"
                qualifiers = {key: purl.qualifiers.get(key) for key in ("arch", "epoch", "distro")}
                assert qualifiers["distro"] == f"fedora-{root['version']}"
                epoch = f"{qualifiers['epoch']}:" if qualifiers["epoch"] else ""
                evra = f"{epoch}{purl.version}.{qualifiers['arch']}"
                found.add((purl.name, evra, each["hashes"][0]["content"]))
        rpms = plan_of(here.state, build)["root"]["contents"]["rpms"]
        assert found == {(rpm["name"], rpm["evra"].removeprefix("0:"), rpm["sha256"]) for rpm in rpms}
        assert len(found) > 10

    def test_a_second_build_makes_nothing(self, here: Bench) -> None:
        here.build("alpha")
        before = roots(here)
        ran = here.build("alpha")
        assert ran.cached() == ["alpha==1.0+pb.1"]
        assert "making a root" not in ran.stderr
        assert roots(here) == before

    def test_rpms_of_a_spec_are_a_layer_that_others_share(self, here: Bench) -> None:
        linked = only(here.build("linked"))
        before = roots(here)
        other = only(here.build("also-linked"))
        plans = [plan_of(here.state, build)["root"] for build in (linked, other)]
        assert plans[0]["digest"] == plans[1]["digest"]
        assert roots(here) == before
        names = {rpm["name"] for rpm in plans[0]["contents"]["rpms"]}
        assert names - set(plans[0]["contents"]["base"]) == {"libyaml", "libyaml-devel"}

    def test_what_a_wheel_needs_is_published_beside_it(self, here: Bench, nodot: str) -> None:
        system = system_of(here, here.build("linked").json["cached"][0])
        assert "libyaml-0.so.2()(64bit)" in system["elf"]
        [yaml] = [rpm for rpm in system["rpms"] if rpm["name"] == "libyaml"]
        assert yaml["provides"] == ["libyaml-0.so.2()(64bit)"]
        assert yaml["files"] == [f"linked.cpython-{nodot}-x86_64-linux-gnu.so"]
        assert system["runtime"] == ["libyaml"]

    def test_a_missing_runtime_rpm_is_named(self, here: Bench, nodot: str) -> None:
        here.accept("forgetful", spec='[system]\nbuild = ["libyaml-devel"]\n', static=False, act=LINKED)
        ran = here.build("forgetful", code=50)
        [failure] = ran.json["failed"]
        assert failure["error"] == (
            "forgetful 1.0 must not be published: forgetful needs libyaml-0.so.2"
            f" (forgetful.cpython-{nodot}-x86_64-linux-gnu.so), which the RPM libyaml has:"
            " add it to [system] runtime in specs/forgetful.toml"
        )
        here.spec("forgetful", YAML)
        only(here.build("forgetful"))
        assert here.outcomes("forgetful") == ["succeeded"]

    def test_a_missing_build_rpm_ends_the_build(self, here: Bench) -> None:
        here.accept("headless", static=False, act=LINKED)
        [failure] = here.build("headless", code=10).json["failed"]
        assert "yaml.h: No such file or directory" in Path(failure["log"]).read_text()
        assert "; it lacks libyaml-devel (yaml.h)" in failure["error"].splitlines()[0]

    def test_an_rpm_that_is_not_locked(self, here: Bench) -> None:
        here.accept("demanding", spec='[system]\nbuild = ["ninja-build"]\n')
        [failure] = here.build("demanding", code=20).json["failed"]
        assert failure["error"] == "the lock has no RPM for ninja-build"

    def test_an_audit_lists_the_rpms(self, here: Bench) -> None:
        here.build("linked")
        ran = here.pybuild("audit", "linked", "--json")
        assert ran.code == 0
        [wheel] = ran.json["wheels"]
        assert {"libyaml-devel", "gcc"} <= {rpm["name"] for rpm in wheel["root"]["rpms"]}
        assert all(len(rpm["key"]) == 16 for rpm in wheel["root"]["rpms"])
        assert all(check["ok"] for check in wheel["checks"])
        shown = here.pybuild("audit", "linked").stdout
        assert "\n    libyaml-devel-" in shown

    def test_an_audit_of_a_changed_wheel(self, here: Bench, tmp_path: Path) -> None:
        here.build("alpha")
        [published] = (here.state / "index" / NAME / "files").glob("alpha-*.whl")
        copy = tmp_path / published.name
        shutil.copy(published, copy)
        assert here.pybuild("audit", str(copy)).code == 0
        copy.write_bytes(copy.read_bytes() + b"x")
        ran = here.pybuild("audit", str(copy))
        assert ran.code == 50
        assert "WRONG: the wheel has the published digest" in ran.stdout

    def test_what_a_killed_run_left_on_the_host_is_cleared(self, here: Bench) -> None:
        here.accept("slow", act="print('begun', flush=True)\nimport time; time.sleep(60)")
        with here.start("-b", "host", "build", "slow") as process:
            log = wait_for(here.running_log)
            process.kill()
        works = {log.parents[1].name}
        wait_for(lambda: not processes_of(here.state), what="the end of the sandbox")
        assert control_groups(works)
        here.build("alpha")
        assert control_groups(works) == []
        assert not list(here.state.glob("work/*"))


class TestChoice:
    """Which buildroot is used (DESIGN.md, "Which buildroot")."""

    def test_unnamed_takes_one_that_is_locked_and_says_so(self, here: Bench) -> None:
        here.settings()
        try:
            ran = here.pybuild("build", "alpha")
        finally:
            here.settings(f'buildroot = "{NAME}"\n')
        assert ran.code == 0
        assert f"buildroot {NAME}, since none is named" in ran.stderr
        assert f"{NAME}/alpha==1.0" in ran.stdout

    def test_named_never_falls_back(self, here: Bench, without_podman: Path) -> None:
        here.accept("unbuilt")
        here.environ["PATH"] = str(without_podman)
        try:
            named, shown = here.build("unbuilt", code=20), here.pybuild("-b", NAME, "build", "unbuilt")
        finally:
            here.environ.clear()
        assert named.json["failed"][0]["error"] == "the program 'podman' is missing"
        assert "install" in shown.stderr and shown.code == 20

    def test_unnamed_without_podman_is_the_host(self, here: Bench, without_podman: Path) -> None:
        here.settings()
        here.environ["PATH"] = str(without_podman)
        try:
            ran = here.pybuild("build", "alpha")
        finally:
            here.environ.clear()
            here.settings(f'buildroot = "{NAME}"\n')
        assert ran.code == 0
        assert "buildroot host, since none is named" in ran.stderr

    def test_not_locked(self, here: Bench) -> None:
        other = here.workspace / "buildroots" / "fedora-other.toml"
        other.write_text(f'name = "fedora-other"\nextends = "{NAME}"\n')
        try:
            ran = here.pybuild("-b", "fedora-other", "build", "alpha")
        finally:
            other.unlink()
        assert ran.code == 20
        assert "the buildroot fedora-other is not locked" in ran.stderr
        assert "do: pybuild buildroot lock fedora-other" in ran.stderr

    def test_another_architecture(self, here: Bench) -> None:
        other = here.workspace / "buildroots" / "fedora-arm.toml"
        other.write_text(f'name = "fedora-arm"\nextends = "{NAME}"\narch = "aarch64"\n')
        try:
            ran = here.pybuild("-b", "fedora-arm", "build", "alpha")
        finally:
            other.unlink()
        assert ran.code == 20
        assert "fedora-arm is for aarch64, this machine is x86_64" in ran.stderr


@pytest.fixture
def without_podman(tmp_path: Path) -> Path:
    """A PATH of everything but podman."""
    place = tmp_path / "bin"
    place.mkdir()
    for directory in ("/usr/bin", "/usr/sbin"):
        for program in os.scandir(directory):
            if program.name != "podman" and not (place / program.name).exists():
                (place / program.name).symlink_to(program.path)
    return place


class TestRoots:
    def test_create_list_and_prune(self, here: Bench) -> None:
        made = here.pybuild("buildroot", "create", "--json").json["roots"]
        assert [root["for"] for root in made] == ["build", "test"]
        assert all(Path(root["path"]).is_dir() for root in made)
        assert {root["digest"] for root in made} <= roots(here)
        assert here.pybuild("buildroot", "prune", "--json").json == {"pruned": [], "freed": 0}
        pruned = here.pybuild("buildroot", "prune", "--unused-for", "0d", "--json").json
        assert {root["digest"] for root in made} <= set(pruned["pruned"])
        assert pruned["freed"] > 100e6
        assert roots(here) == set()
        again = here.pybuild("buildroot", "create", "--json").json["roots"]
        assert [root["digest"] for root in again] == [root["digest"] for root in made]
        assert all(root["made"] for root in again)

    def test_create_for_the_host(self, here: Bench) -> None:
        ran = here.pybuild("buildroot", "create", "host")
        assert ran.code == 2
        assert "this machine's own system" in ran.stderr

    def test_prune_with_rubbish(self, here: Bench) -> None:
        assert here.pybuild("buildroot", "prune", "--unused-for", "soon").code == 2
