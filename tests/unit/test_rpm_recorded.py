from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pybuilder.buildroot import Repository
from pybuilder.errors import FetchError, ValidationError
from pybuilder.layout import Layout
from pybuilder.lockfile import Lock, Rpm
from pybuilder.plan import Plan, Root
from pybuilder.rpm.recorded import Archive, recorded_lock
from pybuilder.rpm.roots import root_digest
from pybuilder.store import Store
from tests.support.plans import PLAN


def entry(name: str, evra: str = "1:2-3.x86_64") -> dict[str, str]:
    return {
        "name": name,
        "evra": evra,
        "sha256": name[0] * 64,
        "repository": "fedora",
        "source": f"{name}-2-3.src.rpm",
        "key": "0" * 16,
    }


def locked(name: str, evra: str = "1:2-3.x86_64") -> Rpm:
    return Rpm.model_validate({**entry(name, evra), "size": 7, "location": f"Packages/{name}.rpm", "requires": ()})


def plan_of(entries: Sequence[Mapping[str, Any]], **root: Any) -> Plan:
    """A plan whose root is of these RPMs."""
    rpms = [locked(each["name"], each["evra"]) for each in entries]
    contents = {"base": [entries[0]["name"]], "rpms": list(entries)}
    made = Root(kind="rpm", digest=root_digest(rpms, {}), contents=contents)
    return replace(PLAN, root=replace(made, **root))


def lock_of(*rpms: Rpm) -> Lock:
    return Lock(buildroot="b", arch="x86_64", repositories={}, answers={}, rpms={rpm.name: rpm for rpm in rpms})


@dataclass
class FakeClient:
    """A server of files."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def download(self, url: str, destination: Path, *, sha256: str) -> str:
        self.asked.append(url)
        if url not in self.files:
            raise FetchError("there is no such file", where=url)
        destination.parent.mkdir(parents=True, exist_ok=True)
        destination.write_bytes(self.files[url])
        return sha256


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def archive(tmp_path: Path, client: FakeClient) -> Archive:
    repository = Repository.model_validate(
        {"baseurl": "http://h/r", "archive": "http://h/{source}/{file}", "gpgcheck": False}
    )
    layout = Layout(root=tmp_path)
    return Archive(layout=layout, store=Store(layout), client=client, repositories={"fedora": repository})  # type: ignore[arg-type]


def test_what_is_still_locked_is_taken_from_the_lock(archive: Archive, client: FakeClient) -> None:
    bash, gcc = locked("bash"), locked("cmake")
    lock = recorded_lock(plan_of([entry("bash"), entry("cmake")]), known=lock_of(bash, gcc), archive=archive)
    assert lock.rpms == {"bash": bash, "cmake": gcc}
    assert client.asked == []


def test_what_is_locked_no_more_comes_from_the_archive(archive: Archive, client: FakeClient) -> None:
    client.files["http://h/cmake/cmake-2-3.x86_64.rpm"] = b"an rpm"
    other = locked("cmake").model_copy(update={"sha256": "f" * 64})
    lock = recorded_lock(
        plan_of([entry("bash"), entry("cmake")]), known=lock_of(locked("bash"), other), archive=archive
    )
    assert (lock.rpms["cmake"].sha256, lock.rpms["cmake"].size) == ("c" * 64, 6)
    stored = archive.store.rpm("c" * 64)
    assert stored is not None and stored.name == "cmake-2-3.x86_64.rpm"


def test_all_that_is_lacking_is_named_with_its_digest(archive: Archive) -> None:
    with pytest.raises(FetchError) as caught:
        recorded_lock(plan_of([entry("bash"), entry("cmake")]), known=None, archive=archive)
    for name in ("bash", "cmake"):
        assert f"{name}-1:2-3.x86_64, sha256 {name[0] * 64}" in caught.value.what


def test_a_root_that_is_there_needs_no_rpms(archive: Archive, client: FakeClient) -> None:
    plan = plan_of([entry("bash")])
    archive.layout.root_of(plan.root.digest).mkdir(parents=True)
    lock = recorded_lock(plan, known=None, archive=archive)
    assert (lock.rpms["bash"].nevra, client.asked) == ("bash-1:2-3.x86_64", [])


@pytest.mark.parametrize(
    "plan",
    [
        plan_of([entry("bash")], digest="0" * 64),
        plan_of([entry("bash")], contents={"base": ["cmake"], "rpms": [entry("bash")]}),
        plan_of([entry("bash")], contents={"base": [], "rpms": [{**entry("bash"), "sha256": "../x"}]}),
        plan_of([entry("bash")], contents={"base": [], "rpms": [{"name": "bash"}]}),
        plan_of([entry("bash")], contents={"base": [], "rpms": [{**entry("bash"), "evra": "../../x-1.x"}]}),
        plan_of([entry("bash")], contents={}),
        plan_of([entry("bash")], contents={"base": [], "rpms": "bash"}),
    ],
)
def test_a_plan_that_no_lock_can_have_made(archive: Archive, plan: Plan) -> None:
    with pytest.raises(ValidationError):
        recorded_lock(plan, known=None, archive=archive)


def test_other_macros_make_another_root(archive: Archive) -> None:
    plan = plan_of([entry("bash")])
    plan = replace(plan, recipe=replace(plan.recipe, root_macros={"_x": "1"}))
    with pytest.raises(ValidationError, match="not those of its root"):
        recorded_lock(plan, known=lock_of(locked("bash")), archive=archive)
