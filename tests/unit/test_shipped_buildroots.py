"""The definitions that ship: what they say once variables and ``extends`` are followed, and their keys."""

from __future__ import annotations

import base64
import hashlib
import shutil
from pathlib import Path

import pytest
import rpm_rs

from pybuilder.lint import lint
from pybuilder.processes import run
from pybuilder.workspace import Workspace

HOME = Path(__file__).parents[2]
# As fedoraproject.org/security and centos.org/keys have them.
FINGERPRINTS = {
    "fedora-44": "36F612DCF27F7D1A48A835E4DBFCF71C6D9F90A6",
    "fedora-45": "4F50A6114CD5C6976A7F1179655A4B02F577861E",
    "fedora-46": "D924B10D3E810DABDD8B56B596E7E91491211FCE",
    "fedora-47": "B2E766FA50CA6FA2D5ED06FC09D879E09488FB64",
    "centos-stream-10": "99DB70FAE1D7CE227FB6488205B555B38483C65D",
}
FEDORA = "https://mirrors.fedoraproject.org/metalink"
CENTOS = "https://mirrors.centos.org/metalink"
REPOSITORIES = {
    "fedora-44": {
        "fedora": f"{FEDORA}?repo=fedora-44&arch=x86_64",
        "updates": f"{FEDORA}?repo=updates-released-f44&arch=x86_64",
    },
    "fedora-45": {
        "fedora": f"{FEDORA}?repo=fedora-45&arch=x86_64",
        "updates": f"{FEDORA}?repo=updates-released-f45&arch=x86_64",
    },
    "fedora-rawhide": {"fedora": f"{FEDORA}?repo=rawhide&arch=x86_64"},
    "centos-stream-10": {
        name: f"{CENTOS}?repo=centos-{name}-10-stream&arch=x86_64&protocol=https"
        for name in ("baseos", "appstream", "crb")
    },
}
KEYS = {
    "fedora-44": {"fedora-44"},
    "fedora-45": {"fedora-45"},
    "fedora-rawhide": {"fedora-45", "fedora-46", "fedora-47"},
    "centos-stream-10": {"centos-stream-10"},
}
PYTHONS = {"fedora-44": "3.14", "fedora-45": "3.15", "fedora-rawhide": "3.15", "centos-stream-10": "3.12"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "specs").mkdir()
    shutil.copytree(HOME / "buildroots", tmp_path / "buildroots", ignore=shutil.ignore_patterns("*.lock"))
    return Workspace(root=tmp_path, run=run)


def test_all_are_known_here(workspace: Workspace) -> None:
    assert set(workspace.buildroot_names()) == {"host", *REPOSITORIES}
    assert {path.stem for path in (workspace.root / "buildroots" / "keys").iterdir()} == FINGERPRINTS.keys()


def test_they_lint(workspace: Workspace) -> None:
    assert lint(workspace) == ()


@pytest.mark.parametrize("name", REPOSITORIES)
def test_repositories_keys_and_pythons(workspace: Workspace, name: str) -> None:
    root = workspace.buildroot(name)
    assert {each: repository.metalink for each, repository in root.repositories.items()} == REPOSITORIES[name]
    for repository in root.repositories.values():
        assert repository.gpgcheck
        assert {Path(file).stem for file in repository.gpgkey} == KEYS[name]
        assert all((workspace.root / "buildroots" / file).is_file() for file in repository.gpgkey)
    assert (root.engine, root.arch, root.pythons) == ("podman", "x86_64", (PYTHONS[name],))
    assert {"bash", "gcc", "gcc-c++", "glibc-minimal-langpack", "python3-devel"} <= set(root.packages)
    assert "rpm-build" not in root.packages and not {"gcc", "python3-devel"} & set(root.runtime)


@pytest.mark.parametrize("name", REPOSITORIES)
def test_the_archives_are_laid_out_as_koji_does(workspace: Workspace, name: str) -> None:
    host = "kojipkgs.fedoraproject.org/packages"
    if name.startswith("centos"):
        host = "kojihub.stream.centos.org/kojifiles/packages"
    layout = "{source}/{version}/{release}/data/signed/{key}/{arch}/{file}"
    found = {repository.archive for repository in workspace.buildroot(name).repositories.values()}
    assert found == {f"https://{host}/{layout}"}


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_keys_are_the_distributions_own(name: str) -> None:
    file = HOME / "buildroots" / "keys" / f"{name}.asc"
    assert _fingerprint(file.read_text()) == FINGERPRINTS[name]
    rpm_rs.Verifier().load_from_asc_file(str(file))


def _fingerprint(armored: str) -> str:
    """Of the first packet, the primary key (RFC 4880, sections 6.2, 4.2.1 and 12.2)."""
    lines = armored.split("\n\n", 1)[1].splitlines()
    data = base64.b64decode("".join(line for line in lines if line[0] not in "=-"))
    assert data[0] == 0x99, "an old packet of type 6 whose length has two bytes"
    length = int.from_bytes(data[1:3], "big")
    return hashlib.sha1(data[: 3 + length]).hexdigest().upper()


def test_another_architecture_is_two_lines(workspace: Workspace) -> None:
    text = 'name = "fedora-45-aarch64"\nextends = "fedora-45"\narch = "aarch64"\n'
    (workspace.root / "buildroots" / "fedora-45-aarch64.toml").write_text(text)
    root = workspace.buildroot("fedora-45-aarch64")
    assert root.repositories["updates"].metalink == f"{FEDORA}?repo=updates-released-f45&arch=aarch64"
    assert root.repositories["fedora"].gpgkey == ("keys/fedora-45.asc",)
