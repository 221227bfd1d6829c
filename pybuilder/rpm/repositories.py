"""A repository as it is now: its mirrors, its repomd.xml, and its packages in a pool of libsolv's."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from pybuilder.buildroot import Repository
from pybuilder.errors import FetchError
from pybuilder.files import CHUNK, atomic_writer, disk_errors
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.rpm.repodata import Listed, Metalink, Repomd, parse_metalink, parse_mirrorlist, parse_repomd
from pybuilder.rpm.updateinfo import Advised, read_updateinfo

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A repository as it was found.

    Attributes:
        name: The definition's name for it.
        definition: What the definition says of it.
        mirrors: Its URLs, each with a slash at its end, the one that answered first.
        repomd: The sha256 of its repomd.xml.
        files: What that names.
    """

    name: str
    definition: Repository
    mirrors: tuple[str, ...]
    repomd: str
    files: Repomd


def find(name: str, repository: Repository, client: Client) -> Found:
    """Ask where a repository is and what state it is in.

    Raises:
        FetchError: No mirror has a repomd.xml that is what it should be.
    """
    metalink = _metalink(repository, client)

    def read(mirror: str) -> Found:
        url = f"{mirror}repodata/repomd.xml"
        page = client.get(url)
        if metalink.digests and not metalink.accepts(page.body):
            raise FetchError(
                "this mirror's repomd.xml has another digest than the metalink says",
                where=url,
                cure="try again later: the mirror is behind, or not to be trusted",
            )
        rest = tuple(each for each in mirrors if each != mirror)
        digest = hashlib.sha256(page.body).hexdigest()
        files = parse_repomd(page.body, url)
        return Found(name=name, definition=repository, mirrors=(mirror, *rest), repomd=digest, files=files)

    mirrors = tuple(each.rstrip("/") + "/" for each in metalink.mirrors)
    return in_turn(mirrors, read, f"no mirror of the repository {name!r} can be used")


def _metalink(repository: Repository, client: Client) -> Metalink:
    if repository.metalink:
        return parse_metalink(client.get(repository.metalink).body, repository.metalink)
    if repository.mirrorlist:
        mirrors = parse_mirrorlist(client.get(repository.mirrorlist).body, repository.mirrorlist)
        return Metalink(mirrors=mirrors, digests=frozenset())
    assert repository.baseurl, "the definition is checked for one of the three"
    return Metalink(mirrors=(repository.baseurl,), digests=frozenset())


def in_turn(mirrors: Iterable[str], action: Callable[[str], T], what: str) -> T:
    """What the first mirror gives that can give it.

    Raises:
        FetchError: None could; lists what each said. Where there is but one, its own error.
    """
    faults: list[FetchError] = []
    for mirror in mirrors:
        try:
            return action(mirror)
        except FetchError as error:
            faults.append(error)
    if len(faults) == 1:
        raise faults[0]
    where = "\n         ".join(f"{fault.where}: {fault.what}" for fault in faults)
    raise FetchError(what, where=where, cure=faults[-1].cure if faults else "")


def load(pool: Any, found: Found, client: Client, layout: Layout) -> Any:
    """Put a repository's packages into a pool; they are fetched and read once, and then kept in libsolv's own form.

    Returns:
        The ``solv.Repo``.

    Raises:
        FetchError: The list of packages can't be fetched or read.
    """
    import solv

    kept = layout.repodata(found.repomd)
    repo = pool.add_repo(found.name)
    # libsolv prefers the greatest priority, dnf the least.
    repo.priority = -found.definition.priority
    if (stream := solv.xfopen(str(kept))) and repo.add_solv(stream):
        return repo
    repo.empty()
    with disk_errors(kept):
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".primary-", dir=kept.parent) as work:
            _read(repo, _fetch(found, found.files.primary, client, Path(work), "list of packages"), found)
        with atomic_writer(kept) as file:
            _write(repo, file)
    return repo


def advisories(found: Found, names: Collection[str], client: Client, layout: Layout) -> tuple[Advised, ...]:
    """The versions of some RPMs that a repository's security advisories name; none where it has no advisories.

    Raises:
        FetchError: They can't be fetched or read.
    """
    listed = found.files.updateinfo
    if listed is None:
        return ()
    work = layout.kind("repodata")
    with disk_errors(work):
        work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".updateinfo-", dir=work) as scratch:
            file = _fetch(found, listed, client, Path(scratch), "list of advisories")
            return read_updateinfo(_plain(file), names, found.mirrors[0] + listed.location)


def _fetch(found: Found, listed: Listed, client: Client, work: Path, what: str) -> Path:
    file = work / listed.location.rpartition("/")[2]

    def fetch(mirror: str) -> Path:
        client.download(mirror + listed.location, file, sha256=listed.sha256, size=listed.size)
        return file

    return in_turn(found.mirrors, fetch, f"no mirror has the {what} of {found.name!r}")


def _read(repo: Any, file: Path, found: Found) -> None:
    import solv

    stream = solv.xfopen(str(_unpacked(file)))
    if not stream or not repo.add_rpmmd(stream, None, 0) or repo.isempty():
        where = found.mirrors[0] + found.files.primary.location
        raise FetchError(f"the list of packages of {found.name!r} can't be read", where=where)


def _unpacked(file: Path) -> Path:
    """Undo the compression, gzip apart, ourselves.

    libsolv may have been built without the others; it then opens nothing, and crashes when it reads from that.
    """
    return file if file.suffix == ".gz" else _plain(file)


def _plain(file: Path) -> Path:
    """Undo the compression.

    Raises:
        FetchError: It is damaged.
    """
    openers: dict[str, Callable[..., Any]] = {
        ".gz": gzip.open,
        ".xz": lzma.open,
        ".bz2": bz2.open,
        ".zst": zstd.open,
    }
    unpack = openers.get(file.suffix)
    if unpack is None:
        return file
    plain = file.with_suffix("")
    try:
        with unpack(file, "rb") as packed, plain.open("wb") as out:
            shutil.copyfileobj(packed, out, CHUNK)
    except (lzma.LZMAError, zstd.ZstdError, zlib.error, OSError, EOFError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise FetchError(f"{file.name} can't be unpacked: {error}", where=file.name) from error
    return plain


def _write(repo: Any, file: IO[bytes]) -> None:
    import solv

    # libsolv closes the descriptor that it is given.
    stream = solv.xfopen_fd("", os.dup(file.fileno()), "w")
    repo.write(stream)
    stream.flush()
    stream.close()
