"""Upstream's wheel in place of a build: published, numbered and installed like any other, and never forgotten."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.indexes import clean_environment
from tests.support.upstream import Fault
from tests.support.wheels import Draft
from tests.support.workspaces import Bench, bench, plan_of

REASON = "its sdist needs a compiler of 1987"
PREBUILT = f'[prebuilt]\nreason = "{REASON}"\n'


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def wheel(here: Bench, name: str, version: str = "1.0", *, tag: str = "py3-none-any", **facts: Any) -> Path:
    """Put a wheel of one module into the upstream index."""
    module = facts.pop("module", f"VERSION = {version!r}\nFROM = 'upstream'\n")
    draft = Draft(name=name, version=version, tag=tag, files={f"{name}.py": module.encode()}, **facts)
    return draft.write(here.upstream.directory)


def record_of(here: Bench, build: Any) -> Any:
    """The record of a BUILD, as it was published."""
    [made] = build["wheels"]
    published = here.index.root / "records" / made["payload_sha256"] / made["attempt"] / "record.json"
    return json.loads(published.read_bytes())


def taints(account: Any) -> list[tuple[str, str, str]]:
    return [(taint["name"], taint["version"], taint["reason"]) for taint in account["tainted"]]


def lose_database(here: Bench) -> None:
    for file in here.state.glob("state.db*"):
        file.unlink()


class TestOne:
    def test_it_is_published_with_a_number_and_installs(self, here: Bench, tmp_path: Path) -> None:
        """There is no sdist at all; what the wheel requires is built."""
        file = wheel(here, "alpha", extra_metadata="Requires-Dist: beta>=1\n", module="import beta\nVALUE = 7\n")
        here.spec("alpha", PREBUILT)
        here.accept("beta")
        ran = here.build("alpha")
        assert ran.built() == ["beta==1.0+pb.1", "alpha==1.0+pb.1"]
        build = ran.json["built"][1]
        account = record_of(here, build)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert (account["prebuilt"], account["tainted"], account["seal"]) == (REASON, [], {})
        origin = here.upstream.file_url(file.name)
        assert account["source"] == {"file": file.name, "sha256": digest, "origin": origin, "scm": False}
        plan = plan_of(here.state, build)
        assert (plan["recipe"]["source"], plan["environment"], plan["requires"]) == (digest, [], [])
        assert plan["source_date_epoch"] == 1704164646  # 2024-01-02 03:04:06, the time of the wheel's files
        assert build["wheels"][0]["sealed"] is False
        said = here.pybuild("log", "alpha").stdout
        assert REASON in said and digest in said and here.upstream.file_url(file.name) in said
        assert f'"1.0" = {{ file = "{file.name}", sha256 = "{digest}" }}' in here.spec_text("alpha")
        site = tmp_path / "site"
        argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--target", site, "alpha"]
        argv += ["--index-url", (here.index.root / "simple").as_uri()]
        subprocess.run(argv, env=clean_environment(tmp_path), check=True, timeout=120)
        shown = subprocess.run(
            [sys.executable, "-c", "import alpha; print(alpha.VALUE)"],
            env={"PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert shown.stdout == "7\n"
        here.check_sound()

    def test_a_wheel_is_nobodys_source(self, here: Bench) -> None:
        wheel(here, "alpha")
        here.accept("alpha", spec=PREBUILT)
        here.build("alpha")
        assert here.index.sources("alpha") == ()  # type: ignore[arg-type]
        assert not list((here.index.root / "sources").rglob("*alpha*"))

    def test_nothing_is_done_the_second_time_and_all_of_it_where_that_is_asked(self, here: Bench) -> None:
        wheel(here, "alpha")
        here.spec("alpha", PREBUILT)
        here.build("alpha")
        asked = len(here.upstream.requests)
        assert here.build("alpha").cached() == ["alpha==1.0+pb.1"]
        assert (here.outcomes("alpha"), len(here.upstream.requests)) == (["succeeded"], asked)
        assert here.rebuild("alpha==1.0").built() == ["alpha==1.0+pb.2"]
        assert here.outcomes("alpha") == ["succeeded", "succeeded"]

    def test_audit_show_and_lint_say_it(self, here: Bench) -> None:
        wheel(here, "alpha")
        here.spec("alpha", PREBUILT)
        here.build("alpha")
        ran = here.pybuild("audit", "alpha")
        assert ran.code == 0, ran.stdout
        assert f"tainted: upstream's wheel of alpha 1.0 was used: {REASON}" in ran.stdout
        assert "nothing was built" in ran.stdout and "sealed" not in ran.stdout
        [facts] = here.pybuild("audit", "alpha", "--json").json["wheels"]
        assert facts["prebuilt"] == REASON and taints(facts) == [("alpha", "1.0", REASON)]
        assert "prebuilt" in here.pybuild("show", "alpha").stdout.splitlines()[1]
        lint = here.pybuild("lint")
        assert (lint.code, lint.stderr) == (0, "sound\n")
        assert "specs/alpha.toml:3:1 [prebuilt].reason: warning: alpha is prebuilt" in lint.stdout
        assert REASON in here.pybuild("lint", "--json").json["warnings"][0]["what"]
        assert here.pybuild("lint", "--apply").code == 0

    def test_there_is_no_shell_in_what_is_not_built(self, here: Bench) -> None:
        wheel(here, "alpha")
        here.spec("alpha", PREBUILT)
        ran = here.pybuild("shell", "alpha")
        assert ran.code == 2 and "upstream's wheel" in ran.stderr

    def test_its_bill_of_materials_names_the_wheel(self, here: Bench, tmp_path: Path) -> None:
        file = wheel(here, "alpha")
        here.spec("alpha", PREBUILT)
        [made] = here.build("alpha").json["built"][0]["wheels"]
        shutil.unpack_archive(made["wheel"], tmp_path / "unpacked", "zip")
        [sbom] = (tmp_path / "unpacked").glob("*.dist-info/sboms/pybuild.cdx.json")
        [origin] = json.loads(sbom.read_bytes())["components"]
        assert [each["value"] for each in origin["properties"]] == ["prebuilt", file.name]
        [origin] = json.loads(Path(f"{made['wheel']}.cdx.json").read_bytes())["components"]
        [reference] = origin["externalReferences"]
        assert (reference["type"], reference["url"]) == ("distribution", here.upstream.file_url(file.name))


class TestRefused:
    @pytest.mark.parametrize("pinned", [False, True], ids=["by the index", "by the pin"])
    def test_a_wrong_hash(self, here: Bench, pinned: bool) -> None:
        file = wheel(here, "alpha")
        pin = f'[versions]\n"1.0" = {{ file = "{file.name}", sha256 = "{"0" * 64}" }}\n' if pinned else ""
        here.spec("alpha", PREBUILT + pin)
        if not pinned:
            here.upstream.faults[file.name] = Fault(content=file.read_bytes()[:-1] + b"x")
        ran = here.build("alpha", code=30)
        assert "mismatch" in ran.json["failed"][0]["error"]
        assert here.published("alpha") == [] and not list(here.state.glob("store/sources/*"))

    def test_another_content_than_at_first_sight(self, here: Bench) -> None:
        """Also where the workspace never had the pin."""
        wheel(here, "alpha")
        spec = here.spec("alpha", PREBUILT)
        here.build("alpha")
        shutil.rmtree(here.state / "store" / "sources")
        wheel(here, "alpha", module="EVIL = 1\n")
        assert "mismatch" in here.rebuild("alpha==1.0", code=30).json["failed"][0]["error"]
        spec.write_text(f'name = "alpha"\n{PREBUILT}')
        assert "mismatch" in here.rebuild("alpha==1.0", code=30).json["failed"][0]["error"]
        assert here.published("alpha") == ["1.0+pb.1"]

    @pytest.mark.parametrize("pinned", [False, True])
    def test_wheels_for_other_platforms_only(self, here: Bench, pinned: bool) -> None:
        file = wheel(here, "alpha", tag="cp39-cp39-win_amd64")
        here.sdist("alpha")
        pin = f'[versions]\n"1.0" = {{ file = "{file.name}", sha256 = "{"0" * 64}" }}\n' if pinned else ""
        here.spec("alpha", PREBUILT + pin)
        [failure] = here.build("alpha", code=30).json["failed"]
        assert "none of upstream's wheels of alpha 1.0 is for" in failure["error"] and file.name in failure["error"]

    def test_there_is_no_wheel(self, here: Bench) -> None:
        here.accept("alpha", spec=PREBUILT)
        here.build("alpha", code=30)

    def test_another_packages_wheel(self, here: Bench) -> None:
        """Under the right name, by the right digest: what is in it says that it is another's."""
        file = wheel(here, "alpha", metadata=b"Metadata-Version: 2.4\nName: beta\nVersion: 1.0\n")
        here.spec("alpha", PREBUILT)
        [failure] = here.build("alpha", code=30).json["failed"]
        assert file.name in failure["error"] and "Name: beta" in failure["error"]
        assert not list(here.state.glob("store/sources/*")) and "versions" not in here.spec_text("alpha")

    def test_a_damaged_one_that_is_in_the_store_already(self, here: Bench) -> None:
        """Its digest is right, so nobody fetches it; it is looked at all the same."""
        file = wheel(here, "alpha", record=b"alpha.py,sha256=x,1\n")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        stored = here.state / "store" / "sources" / digest
        stored.mkdir(parents=True)
        shutil.copy(file, stored)
        here.spec("alpha", f'{PREBUILT}[versions]\n"1.0" = {{ file = "{file.name}", sha256 = "{digest}" }}\n')
        [failure] = here.build("alpha", code=10).json["failed"]
        assert "no sound wheel of alpha 1.0" in failure["error"] and Path(failure["log"]).is_file()
        assert here.outcomes("alpha") == ["failed"]
        here.check_sound()


class TestTaint:
    @pytest.fixture
    def chain(self, here: Bench) -> Bench:
        """Gamma is built with beta, which is built with alpha, which is prebuilt; delta only installs alpha."""
        wheel(here, "alpha")
        here.spec("alpha", PREBUILT)
        here.accept("beta", build_requires=["alpha"], act="import alpha\nassert alpha.FROM == 'upstream'")
        here.accept("gamma", build_requires=["beta"])
        here.accept("delta", requires=["alpha"])
        return here

    def test_whatever_is_built_with_it_and_with_that(self, chain: Bench) -> None:
        ran = chain.build("gamma", "delta")
        builds = {build["name"]: build for build in ran.json["built"]}
        expected = [("alpha", "1.0", REASON)]
        assert taints(record_of(chain, builds["beta"])) == expected
        account = record_of(chain, builds["gamma"])
        assert taints(account) == expected and account["prebuilt"] is None
        payload = builds["alpha"]["wheels"][0]["payload_sha256"]
        assert account["tainted"][0]["payload_sha256"] == payload
        assert payload not in {each["payload_sha256"] for each in account["environment"]}
        assert taints(record_of(chain, builds["delta"])) == []
        said = f"tainted: upstream's wheel of alpha 1.0 was used: {REASON}"
        assert said in chain.pybuild("audit", "gamma").stdout
        assert "upstream's wheel" not in chain.pybuild("audit", "delta").stdout
        assert "tainted by alpha 1.0" in chain.pybuild("show", "gamma").stdout
        assert "tainted" not in chain.pybuild("show", "delta").stdout
        assert taints(chain.pybuild("audit", "gamma", "--json").json["wheels"][0]) == expected

    def test_of_several_all_are_named(self, chain: Bench) -> None:
        wheel(chain, "epsilon")
        chain.spec("epsilon", '[prebuilt]\nreason = "of another kind"\n')
        chain.accept("zeta", build_requires=["epsilon", "beta"])
        build = chain.build("zeta").json["built"][-1]
        assert taints(record_of(chain, build)) == [("alpha", "1.0", REASON), ("epsilon", "1.0", "of another kind")]

    def test_a_failed_build_says_it_too(self, chain: Bench) -> None:
        chain.accept("beta", build_requires=["alpha"], act="raise SystemExit(1)")
        [failure] = chain.build("beta", code=10).json["failed"]
        account = json.loads((Path(failure["log"]).parent / "record.json").read_bytes())
        assert taints(account) == [("alpha", "1.0", REASON)]

    def test_a_lost_database_remembers(self, chain: Bench) -> None:
        chain.build("beta")
        lose_database(chain)
        build = chain.build("gamma").json["built"][-1]
        assert build["name"] == "gamma" and taints(record_of(chain, build)) == [("alpha", "1.0", REASON)]
        assert chain.outcomes("alpha") == chain.outcomes("beta") == ["succeeded"]
        assert "tainted by alpha 1.0" in chain.pybuild("show", "beta").stdout


class TestCycle:
    @pytest.fixture
    def cycle(self, here: Bench) -> Bench:
        here.accept("alpha", build_requires=["beta"], act="import beta")
        here.accept("beta", build_requires=["alpha"], act="import alpha")
        return here

    def test_it_is_named_with_both_ways_out(self, cycle: Bench) -> None:
        ran = cycle.pybuild("build", "alpha")
        assert ran.code == 3 and "alpha 1.0 needs beta 1.0 needs alpha 1.0" in ran.stderr
        assert "pin an older version of one of them that needs less" in ran.stderr
        assert "take upstream's wheel of one: [prebuilt] reason" in ran.stderr

    def test_a_wheel_is_the_way_out(self, cycle: Bench) -> None:
        wheel(cycle, "beta")
        cycle.build("alpha", code=3)
        cycle.spec("beta", PREBUILT)
        ran = cycle.build("alpha")
        assert ran.built() == ["beta==1.0+pb.1", "alpha==1.0+pb.1"]
        assert taints(record_of(cycle, ran.json["built"][1])) == [("beta", "1.0", REASON)]
        cycle.check_sound()


class TestBootstrap:
    def test_a_tree_with_a_cycle_that_a_wheel_breaks(self, here: Bench, tmp_path: Path) -> None:
        """Beta has no sdist at all, and what its wheel requires is known before anything is built."""
        here.accept("alpha", build_requires=["beta"], act="import beta, gamma")
        wheel(here, "beta", extra_metadata="Requires-Dist: gamma\n")
        here.accept("gamma", build_requires=["alpha"])
        here.spec("beta", PREBUILT)
        ran = here.pybuild("bootstrap", "alpha", "--json")
        assert ran.code == 3 and "a cycle of build requirements" in ran.stderr + ran.stdout
        assert "take upstream's wheel of one: [prebuilt] reason" in here.pybuild("bootstrap", "alpha").stderr
        here.spec("gamma", PREBUILT)
        wheel(here, "gamma")
        planned = here.pybuild("bootstrap", "alpha", "--plan")
        assert planned.code == 0, planned.stderr
        assert planned.stdout.count("upstream's wheel") == 2
        ran = here.pybuild("bootstrap", "alpha", "--json")
        assert ran.code == 0, ran.stderr
        assert sorted(ran.built()) == ["alpha==1.0+pb.1", "beta==1.0+pb.1", "gamma==1.0+pb.1"]
        [build] = [build for build in ran.json["built"] if build["name"] == "alpha"]
        assert taints(record_of(here, build)) == [("beta", "1.0", REASON), ("gamma", "1.0", REASON)]
        assert len(here.pybuild("bootstrap", "alpha", "--json").cached()) >= 1
        here.check_sound()


class TestOnAndOff:
    def test_each_change_is_another_recipe(self, here: Bench) -> None:
        """The pin in the spec is that of what the spec asks for, whatever was pinned before; the state keeps both."""
        file = wheel(here, "alpha")
        here.accept("alpha", module="FROM = 'source'\n")
        here.build("alpha")
        assert "alpha-1.0.tar.gz" in here.spec_text("alpha")
        spec = here.workspace / "specs" / "alpha.toml"
        spec.write_text(here.spec_text("alpha") + PREBUILT)
        assert here.build("alpha").built() == ["alpha==1.0+pb.2"]
        assert file.name in here.spec_text("alpha") and "tar.gz" not in here.spec_text("alpha")
        spec.write_text(here.spec_text("alpha").replace(PREBUILT, ""))
        asked = len(here.upstream.requests)
        # What was built once is not built again, and its pin comes from the state, with nobody asked.
        assert here.build("alpha").built() == ["alpha==1.0+pb.3"]
        assert (here.outcomes("alpha"), len(here.upstream.requests)) == (["succeeded"] * 2, asked)
        assert "alpha-1.0.tar.gz" in here.spec_text("alpha") and ".whl" not in here.spec_text("alpha")
        assert (
            len(
                {
                    build["wheels"][0]["payload_sha256"]
                    for build in here.pybuild("show", "alpha", "--json").json["builds"]
                }
            )
            == 2
        )

    def test_what_needs_it_is_built_anew(self, here: Bench) -> None:
        wheel(here, "alpha")
        here.accept("alpha", module="FROM = 'source'\n")
        here.accept("beta", build_requires=["alpha"], act="import alpha\nFACTS['module'] = f'A = {alpha.FROM!r}\\n'")
        here.build("beta")
        here.spec("alpha", PREBUILT)
        ran = here.build("beta")
        assert ran.built() == ["alpha==1.0+pb.2", "beta==1.0+pb.2"]
        assert taints(record_of(here, ran.json["built"][1])) == [("alpha", "1.0", REASON)]
        here.spec("alpha")
        ran = here.build("beta")
        assert ran.built() == ["alpha==1.0+pb.3", "beta==1.0+pb.3"]
        assert taints(record_of(here, ran.json["built"][1])) == []

    def test_for_some_versions_only(self, here: Bench) -> None:
        """A newer version that has only a wheel is no version that could be built."""
        here.accept("alpha", spec='[[override]]\nwhen.versions = "<1"\nprebuilt.reason = "old"\n')
        wheel(here, "alpha", "0.5")
        wheel(here, "alpha", "2.0")
        assert here.build("alpha").built() == ["alpha==1.0+pb.1"]
        assert here.build("alpha<1").built() == ["alpha==0.5+pb.1"]
        assert record_of(here, here.build("alpha<1").json["cached"][0])["prebuilt"] == "old"

    def test_patches_and_build_settings_are_for_what_is_built(self, here: Bench) -> None:
        wheel(here, "alpha")
        here.accept("alpha", spec=f'[build]\nadd-requires = ["nobody"]\n{PREBUILT}')
        here.patch("alpha", "tiny.json", "VERSION", "OTHER")
        build = here.build("alpha").json["built"][0]
        assert record_of(here, build)["patches"] == []
        here.accept("alpha", spec=PREBUILT)
        assert here.build("alpha").cached() == ["alpha==1.0+pb.1"]
        assert here.outcomes("alpha") == ["succeeded"]

    def test_a_source_from_git_is_not_looked_at(self, here: Bench) -> None:
        wheel(here, "alpha")
        git = '[source]\ntype = "git"\nurl = "https://127.0.0.1:9/gone.git"\ntag = "v{version}"\n'
        here.spec("alpha", git + PREBUILT)
        assert here.build("alpha").built() == ["alpha==1.0+pb.1"]
