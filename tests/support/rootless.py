"""A bench on which somebody ordinary runs pybuild: podman without root, and rpm in the bootstrap container."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pybuilder.files import file_lock
from pybuilder.rpm.bootstrap import IMAGE
from tests.support.debian import CACHE
from tests.support.distribution import distribution
from tests.support.fedora import NAME, fedora_bench, lock
from tests.support.sandbox import ORDINARY_ID, kill_all_of, ordinary_python
from tests.support.views import in_view, user_files
from tests.support.workspaces import ROOT, Bench

BASE_IMAGE = "localhost/pybuild-test-base:1"
_PACKAGES = ("bash", "coreutils", "findutils", "rpm", "util-linux")


def base_image() -> Path:
    """The base of a bootstrap container, as a tar archive: rpm and what the transaction calls; made once and kept."""
    made_of = repr((distribution().repositories, _PACKAGES))
    archive = CACHE / f"bootstrap-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.tar"
    with file_lock(CACHE / "bootstrap.lock"):
        if not archive.exists():
            with tempfile.TemporaryDirectory(prefix=".bootstrap-", dir=CACHE) as work:
                with fedora_bench(Path(work) / "bench", packages=_PACKAGES) as here:
                    lock(here)
                    made, _ = here.pybuild("buildroot", "create", "--json").json["roots"]
                    subprocess.run(["tar", "-C", made["path"], "-cf", f"{work}/made.tar", "."], check=True)
                Path(work, "made.tar").rename(archive)
        os.utime(archive)
    return archive


@dataclass(kw_only=True)
class RootlessBench(Bench):
    """A bench whose pybuild is run by an ordinary user who has subordinate ids and nothing else.

    Attributes:
        mounts: What that user sees in place of this machine's own; see ``in_view``.
        python: With which Python.
    """

    mounts: dict[Path | str, Path] = field(default_factory=dict)
    python: str = ""

    def command(self, *argv: str) -> list[str]:
        """A command, as that user runs it."""
        subprocess.run(["chown", "-hR", f"{ORDINARY_ID}:{ORDINARY_ID}", self.root / "workspace"], check=True)
        return in_view(argv, self.mounts, uid=ORDINARY_ID)

    def argv(self, *arguments: str) -> list[str]:
        """The command line of a pybuild over this workspace and state."""
        ours = ["-w", str(self.workspace), "--state", str(self.state)]
        return self.command(self.python, "-m", "pybuilder.cli", *ours, *arguments)

    def podman(self, *arguments: str) -> str:
        """What that user's podman prints."""
        environ = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", **self.environ}
        done = subprocess.run(self.command("podman", *arguments), env=environ, cwd="/", capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def build_image(self) -> None:
        """Build the bootstrap container's image from our own base, as its Containerfile says."""
        build = ["build", "--isolation=chroot", "--quiet", f"--build-arg=BASE={BASE_IMAGE}", f"--tag={IMAGE}"]
        self.podman(*build, f"{self.environ['PYTHONPATH'].split(':')[0]}/pybuilder/rpm")


@contextmanager
def rootless_bench() -> Iterator[RootlessBench]:
    """A bench over the test distribution for an ordinary user, with an image to make the bootstrap container of."""
    python = ordinary_python()
    version = subprocess.run([python, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True)
    ours = " ".join(map(str, sys.version_info[:2]))
    assert version.stdout.strip() == ours, f"ordinary users' {python} must be a Python {ours}, as this one"
    root = Path(tempfile.mkdtemp(prefix="pybuild-rootless-"))
    root.chmod(0o755)
    try:
        with fedora_bench(root / "bench") as rootful:
            made = _furnished(rootful, root, python)
            made.podman("import", "--quiet", str(root / "base.tar"), BASE_IMAGE)
            yield made
    finally:
        # By their runtime directory, not by their user, who may be at work in other tests.
        kill_all_of(root)
        # Some of it is of subordinate ids, which are nobody's to the tests either, but root removes what it likes.
        shutil.rmtree(root)


def _furnished(rootful: Bench, root: Path, python: str) -> RootlessBench:
    """Show an ordinary user what they can't see otherwise: where we are installed, and what the tests keep for root."""
    seen: dict[Path | str, Path] = {
        root / "source": ROOT,
        root / "packages": Path(sysconfig.get_path("purelib")),
    }
    if repository := distribution().directory:
        seen[root / "repository"] = repository
    for directory in seen:
        Path(directory).mkdir()
    shutil.copy(base_image(), root / "base.tar")
    for name in ("home", "run", "state"):
        (root / name).mkdir(mode=0o700)
        os.chown(root / name, ORDINARY_ID, ORDINARY_ID)
    if repository:
        definition = rootful.workspace / "buildroots" / f"{NAME}.toml"
        definition.write_text(definition.read_text().replace(repository.as_uri(), (root / "repository").as_uri()))
    return RootlessBench(
        root=rootful.root,
        upstream=rootful.upstream,
        state=root / "state",
        environ={
            "HOME": str(root / "home"),
            "XDG_RUNTIME_DIR": str(root / "run"),
            "PYTHONPATH": f"{root / 'source'}:{root / 'packages'}",
        },
        mounts={**seen, **user_files(root / "etc", ORDINARY_ID, home=root / "home")},
        python=python,
    )
