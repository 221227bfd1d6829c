"""A directory of the workspace as a source."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from pybuilder.errors import ConfigError
from pybuilder.processes import run
from pybuilder.sources.git import git_environ
from pybuilder.sources.members import Member

_NEVER = frozenset({".git", ".pybuild"})


def directory_in(workspace: Path, path: str) -> Path:
    """The directory that ``[source] path`` names.

    Raises:
        ConfigError: It is none, or is not in the workspace, links followed.
    """
    directory = (workspace / path).resolve()
    if not directory.is_relative_to(workspace.resolve()):
        raise ConfigError(f"the path {path!r} leads out of the workspace", where="[source].path")
    if not directory.is_dir():
        raise ConfigError(
            f"the path {path!r} is no directory", where="[source].path", cure="it is relative to the workspace"
        )
    return directory


def content(directory: Path, environ: Mapping[str, str]) -> Iterator[Member]:
    """All files and links below a directory in order of path; in git, all but what is ignored.

    Raises:
        ConfigError: Something there is neither.
    """
    listed = _listed_by_git(directory, environ)
    paths = set(_walk(directory)) if listed is None else listed
    for path in sorted(paths, key=os.fsencode):
        yield from _member(directory, path)


def last_commit_time(directory: Path, environ: Mapping[str, str]) -> int:
    """When something in a directory was last committed, in seconds since the epoch; 0 where that can't be said."""
    output = _git(directory, environ, "log", "-1", "--format=%ct", "--no-show-signature", "--", ".")
    return int(output) if output and output.strip() else 0


def _listed_by_git(directory: Path, environ: Mapping[str, str]) -> set[str] | None:
    """What git tracks or would track, or None where there is no repository."""
    output = _git(directory, environ, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if output is None:
        return None
    found: set[str] = set()
    for path in os.fsdecode(output).split("\0")[:-1]:
        file = directory / path
        if file.is_dir() and not file.is_symlink():
            # A repository within: git lists its directory only.
            found.update(f"{path.rstrip('/')}/{inner}" for inner in _walk(file))
        elif os.path.lexists(file):
            found.add(path)
    return {path for path in found if not _NEVER.intersection(path.split("/"))}


def _walk(directory: Path) -> Iterator[str]:
    for parent, directories, files in os.walk(directory):
        links = [name for name in directories if Path(parent, name).is_symlink()]
        directories[:] = [name for name in directories if name not in _NEVER]
        for name in (*files, *links):
            if name not in _NEVER:
                yield str(Path(parent, name).relative_to(directory))


def _member(directory: Path, path: str) -> Iterator[Member]:
    file = directory / path
    status = file.lstat()
    if stat.S_ISLNK(status.st_mode):
        yield Member(name=path, kind="symlink", target=str(file.readlink()))
    elif stat.S_ISREG(status.st_mode):
        with file.open("rb") as data:
            size = os.fstat(data.fileno()).st_size
            executable = bool(status.st_mode & stat.S_IXUSR)
            yield Member(name=path, kind="file", executable=executable, size=size, data=data)
    else:
        raise ConfigError(f"{path!r} is neither file nor link", where=str(file), cure="remove it, or ignore it in git")


def _git(directory: Path, environ: Mapping[str, str], *arguments: str) -> bytes | None:
    # The workspace is the packager's own, whoever runs us: git would refuse it to root.
    argv = ["git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C", str(directory), *arguments]
    done = run(argv, env=git_environ(environ))
    return None if done.returncode else done.stdout
