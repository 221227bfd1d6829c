"""The whole way as an ordinary user: rpm in the bootstrap container, builds in rootless podman, bytes as root's."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pybuilder.files import sha256_file
from tests.support.distribution import missing_tools
from tests.support.fedora import LINKED, NAME, fedora_bench, lock
from tests.support.rootless import RootlessBench, rootless_bench
from tests.support.workspaces import Bench, plan_of, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")

YAML = '[system]\nbuild = ["libyaml-devel"]\nruntime = ["libyaml"]\n'


@pytest.fixture(scope="module")
def here() -> Iterator[RootlessBench]:
    if missing := missing_tools():
        pytest.fail(missing)
    with rootless_bench() as made:
        accept(made)
        made.build_image()
        lock(made)
        yield made
        assert made.podman("ps", "--all", "--quiet") == ""


def accept(bench: Bench) -> None:
    bench.accept("alpha")
    bench.accept("linked", spec=YAML, static=False, act=LINKED)


@pytest.fixture(scope="module")
def rootful(here: RootlessBench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The same specs and the same lock in a fresh state of root's."""
    with fedora_bench(tmp_path_factory.mktemp("rootful")) as made:
        accept(made)
        locked = Path("workspace", "buildroots", f"{NAME}.lock")
        (made.root / locked).write_text((here.root / locked).read_text())
        yield made


def listing(tree: Path) -> dict[str, Any]:
    """Everything that can be told of a tree but who owns it."""
    found: dict[str, Any] = {}
    for directory, names, files in os.walk(tree):
        for name in (*names, *files):
            path = Path(directory, name)
            facts = path.lstat()
            kind = stat.S_IFMT(facts.st_mode)
            content = sha256_file(path) if stat.S_ISREG(facts.st_mode) else ""
            target = os.readlink(path) if stat.S_ISLNK(facts.st_mode) else ""
            mode = facts.st_mode if not target else kind
            found[str(path.relative_to(tree))] = (oct(mode), int(facts.st_mtime), target or content)
    return found


def tree(bench: Bench, digest: str) -> Path:
    return bench.layout.root_of(digest) / "tree"


def test_builds_and_roots_are_those_of_root(here: RootlessBench, rootful: Bench) -> None:
    ours, theirs = (bench.build("alpha", "linked").json["built"] for bench in (here, rootful))
    assert [build["name"] for build in ours] == [build["name"] for build in theirs] == ["alpha", "linked"]
    for one, other in zip(ours, theirs, strict=True):
        assert one["wheels"][0]["engine"] == "podman"
        assert one["wheels"][0]["payload_sha256"] == other["wheels"][0]["payload_sha256"]
        assert one["wheels"][0]["key"] == other["wheels"][0]["key"]
        digests = [plan_of(bench.state, build)["root"]["digest"] for bench, build in ((here, one), (rootful, other))]
        assert digests[0] == digests[1]
        assert listing(tree(here, digests[0])) == listing(tree(rootful, digests[1]))


def test_everything_belongs_to_the_user(here: RootlessBench) -> None:
    here.build("alpha")
    owners = {path.lstat().st_uid for path in here.state.rglob("*")}
    assert owners == {here.state.stat().st_uid}


def test_a_killed_transaction(here: RootlessBench) -> None:
    assert here.pybuild("buildroot", "prune", "--unused-for", "0d").code == 0
    with here.start("buildroot", "create") as process:
        wait_for(lambda: list(here.layout.roots.glob(".*.tmp/tree/usr")), what="a transaction")
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    wait_for(lambda: here.podman("ps", "--all", "--quiet") == "", seconds=30, what="the end of the container")
    assert here.pybuild("buildroot", "create").code == 0
    assert not list(here.layout.roots.glob(".*.tmp"))


def test_a_prune_needs_no_root(here: RootlessBench) -> None:
    here.pybuild("buildroot", "create")
    pruned = here.pybuild("buildroot", "prune", "--unused-for", "0d", "--json").json
    assert pruned["pruned"]
    assert pruned["freed"] > 100e6


def test_doctor_says_what_an_ordinary_user_has(here: RootlessBench) -> None:
    checks = {check["name"]: check for check in here.pybuild("doctor", "--json").json["checks"]}
    assert checks["subuid"]["ok"]
    assert checks["container"]["ok"], checks["container"]
    assert "bootstrap container" in checks["rpm"]["found"]
