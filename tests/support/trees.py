"""Root trees of the test distribution to run builds over: each made once for all test workers, and kept.

They lie beside the distribution, filed under what they are made from. Rootless podman wants a tree that is its user's
own, so each user has a copy.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from pybuilder.files import file_lock
from pybuilder.plan import ROOT_FORMAT
from tests.support.debian import CACHE
from tests.support.distribution import distribution
from tests.support.roots import Place, distributed

_PACKAGES = ("bash", "coreutils", "findutils", "grep", "python3")


def tree(uid: int | None = None) -> Path:
    """A tree that belongs to a user, root unless another is named, made now if it has not been."""
    original = tree() if uid else None
    made_of = repr((distribution().repositories, _PACKAGES, ROOT_FORMAT))
    home = CACHE / f"tree-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}-{uid or 0}"
    with file_lock(CACHE / "trees.lock"):
        if not home.is_dir():
            with tempfile.TemporaryDirectory(prefix=".tree-", dir=CACHE) as work:
                made = _copy(original, uid, Path(work)) if uid and original else _install(Path(work))
                made.rename(home)
        # What is older than a fortnight is removed with old distributions.
        os.utime(home)
    return home / "tree"


def _install(work: Path) -> Path:
    (work / "place").mkdir()
    place = Place(work / "place", distributed(work / "distribution"))
    return place.prepare(base=place.closure(*_PACKAGES)).directory


def _copy(original: Path, uid: int, work: Path) -> Path:
    made = work / "copy"
    made.mkdir()
    subprocess.run(["cp", "-a", original, made], check=True)
    subprocess.run(["chown", "-hR", f"{uid}:{uid}", made], check=True)
    return made
