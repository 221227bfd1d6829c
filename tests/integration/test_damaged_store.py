"""What is damaged in the store is found when it is wanted, set aside, told, and fetched or built again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pybuilder.state import State
from tests.support.workspaces import Bench, bench


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        made.accept("alpha", requires=["beta"], build_requires=["gamma"])
        made.accept("beta")
        made.accept("gamma")
        made.build("alpha")
        yield made


def stored(here: Bench, kind: str, name: str) -> Path:
    [file] = here.state.glob(f"store/{kind}/*/{name}-1.0*")
    return file


def flip(file: Path) -> None:
    """Change one byte, in the same place as always, of the same size."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def rot(here: Bench, file: Path) -> None:
    """Change one byte as a disk does it: no time tells."""
    flip(file)
    facts = file.stat()
    with closing(State.open(here.layout)) as state:
        seen = [facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]
        state.add_fact("intact", file.parent.name, seen)


def set_aside(here: Bench) -> list[str]:
    return sorted(path.name.rpartition("-")[0] for path in here.layout.damaged.iterdir())


def check_whole(here: Bench) -> None:
    for kind in ("sources", "payloads"):
        for file in here.state.glob(f"store/{kind}/*/*-1.0*"):
            assert hashlib.sha256(file.read_bytes()).hexdigest() == file.parent.name
    assert here.pybuild("audit", f"alpha=={here.published('alpha')[-1]}").code == 0
    here.check_sound()


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied"])
@pytest.mark.parametrize("command", ["build", "rebuild"])
def test_a_source_is_fetched_again(here: Bench, damage: str, command: str) -> None:
    source = stored(here, "sources", "alpha")
    match damage:
        case "flipped":
            flip(source)
        case "cut":
            source.write_bytes(source.read_bytes()[:100])
        case "emptied":
            source.write_bytes(b"")
    ran = here.pybuild(command, "alpha==1.0")
    assert ran.code == 0, ran.stderr
    assert f"damaged, and set aside as {here.layout.damaged}" in ran.stderr
    assert set_aside(here) == [f"sources-{source.parent.name}"]
    assert here.published("alpha") == ["1.0+pb.1", *(["1.0+pb.2"] if command == "rebuild" else [])]
    check_whole(here)


def test_a_source_that_rots_unseen_is_found_by_who_builds_from_it(here: Bench) -> None:
    source = stored(here, "sources", "alpha")
    rot(here, source)
    assert here.build("alpha").cached() == ["alpha==1.0+pb.1"], "nothing is read for it"
    assert here.rebuild("alpha==1.0").built() == ["alpha==1.0+pb.2"]
    assert set_aside(here) == [f"sources-{source.parent.name}"]
    check_whole(here)


@pytest.mark.parametrize("name", ["alpha", "beta", "gamma"])
def test_a_payload_is_built_again(here: Bench, name: str) -> None:
    """The same comes out, so nothing gets another number."""
    payload = stored(here, "payloads", name)
    flip(payload)
    ran = here.pybuild("build", "alpha")
    assert ran.code == 0, ran.stderr
    assert set_aside(here) == [f"payloads-{payload.parent.name}"] and f"payloads/{payload.parent.name}" in ran.stderr
    assert here.outcomes(name) == ["succeeded", "succeeded"]
    assert here.published(name) == ["1.0+pb.1"]
    check_whole(here)


def test_a_payload_that_rots_unseen_is_not_built_with(here: Bench) -> None:
    """Who unpacks it for an environment finds it, and says to run again; then it is built again."""
    payload = stored(here, "payloads", "gamma")
    for tree in payload.parent.glob("tree-*"):
        tree.rename(here.root / tree.name)
    for environment in here.state.glob("store/envs/*"):
        environment.rename(here.root / environment.name)
    rot(here, payload)
    ran = here.pybuild("rebuild", "alpha==1.0")
    assert ran.code == 1 and "damaged in the store" in ran.stderr and "run the same command again" in ran.stderr
    assert here.rebuild("alpha==1.0").code == 0
    assert here.outcomes("gamma") == ["succeeded", "succeeded"]
    check_whole(here)


def test_a_payload_that_rots_unseen_is_not_published(here: Bench) -> None:
    here.accept("delta")
    here.build("delta")
    payload = stored(here, "payloads", "delta")
    rot(here, payload)
    with closing(State.open(here.layout)) as state:
        state._write("DELETE FROM wheels WHERE name = 'delta'", {})
    ran = here.pybuild("build", "delta")
    assert ran.code == 1 and "damaged" in ran.stderr and "pybuild rebuild delta==1.0" in ran.stderr
    [again] = here.build("delta").built()
    assert again in ("delta==1.0+pb.2", "delta==1.0+pb.3")
    here.check_sound()
