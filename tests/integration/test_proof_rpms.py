"""``pybuild rebuild WHEEL`` in a root of RPMs: of those that the record names, whatever is locked today."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomlkit

from tests.support.distribution import missing_tools
from tests.support.fedora import LINKED, NAME, fedora_bench, lock
from tests.support.workspaces import Bench, plan_of

YAML = '[system]\nbuild = ["libyaml-devel"]\nruntime = ["libyaml"]\n'


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A compiled module that is built with an RPM of its own, and then a lock that has moved away from it."""
    if lacking := missing_tools():
        pytest.fail(lacking)
    with fedora_bench(tmp_path_factory.mktemp("proof")) as made:
        made.accept("linked", spec=YAML, static=False, act=LINKED)
        lock(made)
        [build] = made.build("linked").json["built"]
        for rpm in plan_of(made.state, build)["root"]["contents"]["rpms"]:
            if rpm["name"] == "libyaml-devel":
                made.environ["LIBYAML"] = rpm["sha256"]
        made.spec("linked")
        yield made


def wheel(here: Bench) -> str:
    [found] = (here.state / "index" / NAME / "files").glob("linked-*.whl")
    return str(found)


def without_lock(here: Bench) -> None:
    """Nothing is locked, and no root is there any more."""
    (here.workspace / "buildroots" / f"{NAME}.lock").unlink(missing_ok=True)
    assert here.pybuild("buildroot", "prune", "--unused-for", "0d").code == 0
    assert not [path for path in here.layout.roots.iterdir() if len(path.name) == 64]


def test_the_recorded_root_is_made_again_without_the_lock(here: Bench) -> None:
    without_lock(here)
    ran = here.pybuild("rebuild", "--json", wheel(here))
    assert ran.code == 0, ran.stderr
    assert len(ran.json["proven"]) == 1
    assert here.outcomes("linked") == ["succeeded"]
    # Once it is there, none of its RPMs is needed.
    shutil.move(here.state / "store" / "rpms", here.state / "store" / "away")
    try:
        assert here.pybuild("rebuild", wheel(here)).code == 0
    finally:
        shutil.move(here.state / "store" / "away", here.state / "store" / "rpms")


def archive_at(here: Bench, directory: Path) -> None:
    """Make the repositories' archive a directory of RPMs."""
    definition = here.workspace / "buildroots" / f"{NAME}.toml"
    document = tomlkit.parse(definition.read_text())
    for repository in document["repositories"].values():  # type: ignore[union-attr]
        repository["archive"] = f"{directory.as_uri()}/{{file}}"
    definition.write_text(tomlkit.dumps(document))


def test_an_rpm_that_is_gone_is_named_or_taken_from_the_archive(here: Bench, tmp_path: Path) -> None:
    without_lock(here)
    archive_at(here, tmp_path)
    sha256 = here.environ["LIBYAML"]
    [stored] = here.layout.rpm(sha256).iterdir()
    data = stored.read_bytes()
    shutil.rmtree(stored.parent)
    archived = tmp_path / stored.name
    for there in (None, data + b"x"):
        if there is not None:
            archived.write_bytes(there)
        ran = here.pybuild("rebuild", wheel(here))
        assert ran.code == 30
        assert f"{stored.name.removesuffix('.rpm')}, sha256 {sha256}" in ran.stderr
    archived.write_bytes(data)
    ran = here.pybuild("rebuild", wheel(here))
    assert ran.code == 0, ran.stderr
    assert here.layout.rpm(sha256).is_dir()
