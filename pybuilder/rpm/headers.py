"""An RPM that no repository lists any more, put back among the candidates from its own header."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pybuilder.lockfile import Rpm


def add(repo: Any, file: Path, rpm: Rpm) -> None:
    """Add one RPM to a ``solv.Repo``.

    Args:
        repo: The repository that had it.
        file: Its file, whose digest is known to be the lock's.
        rpm: What the lock says of it.
    """
    import rpm_rs
    import solv

    header = rpm_rs.PackageMetadata.open(str(file))
    pool, solvable = repo.pool, repo.add_solvable()
    evr, _, arch = rpm.evra.rpartition(".")
    solvable.name, solvable.evr, solvable.arch = rpm.name, evr, arch
    for dep in _deps(pool, header.provides()):
        solvable.add_provides(dep)
    for dep in _deps(pool, header.requires()):
        solvable.add_requires(dep)
    for dep in _deps(pool, header.conflicts()):
        solvable.add_conflicts(dep)
    for dep in _deps(pool, header.obsoletes()):
        solvable.add_obsoletes(dep)
    data = repo.add_repodata()
    data.set_checksum(solvable.id, solv.SOLVABLE_CHECKSUM, solv.Chksum(solv.REPOKEY_TYPE_SHA256, rpm.sha256))
    data.set_num(solvable.id, solv.SOLVABLE_DOWNLOADSIZE, rpm.size)
    data.set_location(solvable.id, 0, rpm.location)
    data.set_sourcepkg(solvable.id, rpm.source)
    for directory, name in header.file_paths_split():
        data.add_dirstr(solvable.id, solv.SOLVABLE_FILELIST, data.str2dir(directory), name)
    data.internalize()


def _deps(pool: Any, listed: Iterable[Any]) -> Iterable[Any]:
    import solv

    # RPMSENSE_LESS, _GREATER and _EQUAL (rpmds.h).
    signs = ((2, solv.REL_LT), (4, solv.REL_GT), (8, solv.REL_EQ))
    for each in listed:
        flags = sum(sign for bit, sign in signs if int(each.flags) & bit)
        if each.name.startswith("rpmlib("):
            continue
        if each.name.startswith("("):
            yield pool.parserpmrichdep(each.name)
        elif flags and each.version:
            yield pool.Dep(each.name).Rel(flags, pool.Dep(each.version))
        else:
            yield pool.Dep(each.name)
