"""From a spec's ``[source]`` and a version to a verified archive in the store: one function for each type of source."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.errors import FetchError
from pybuilder.fields import expand
from pybuilder.files import disk_errors, file_lock, sha256_file
from pybuilder.http import Client, redact
from pybuilder.store import Store
from pybuilder.work import work_directory

if TYPE_CHECKING:
    from pybuilder.download import Progress
    from pybuilder.sources.members import Member
    from pybuilder.spec import Pin, Source
    from pybuilder.upstream import Upstream
    from pybuilder.upstream.files import File


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which source.

    Attributes:
        name: The package.
        version: Its version.
        source: The spec's ``[source]`` for that version.
        pin: What the source was when it was first seen; None at its first sight.
    """

    name: NormalizedName
    version: Version
    source: Source
    pin: Pin | None


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedWheel:
    """Which of upstream's wheels, for a package that is prebuilt.

    Attributes:
        name: The package.
        version: Its version.
        target: What it is for, in a word.
        tags: Every tag that the target accepts, best first.
        pin: What the wheel was when it was first seen; None at its first sight.
    """

    name: NormalizedName
    version: Version
    target: str
    tags: Sequence[str]
    pin: Pin | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """A source that is in the store, and is what it should be.

    Attributes:
        sha256: Its digest.
        file: Where it is.
        filename: Its own name.
        origin: Where it came from, fit to be shown; ``store`` where a pin found it there.
        commit: The git commit, for sources from git.
    """

    sha256: str
    file: Path
    filename: str
    origin: str
    commit: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Where sources come from.

    Args:
        store: Where they go.
        client: Who fetches.
        upstream: The index.
        workspace: The workspace.
        environ: The environment, of which git gets the proxies.
        progress: Told of downloads.
    """

    store: Store
    client: Client
    upstream: Upstream
    workspace: Path
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    progress: Progress | None = None

    def fetch(self, wanted: Wanted | WantedWheel) -> Fetched:
        """Bring a source, or upstream's wheel in its place, into the store, by its pin if it has one.

        What is there already needs no network.

        Raises:
            FetchError: It can't be fetched, is not what its pin says, or is another package's; nothing is kept.
            ConfigError: A path leads out of the workspace, or nowhere.
            EngineError: git is needed and missing.
        """
        if isinstance(wanted, Wanted) and wanted.source.type == "path":
            return self._path(wanted)
        with file_lock(self.store.layout.lock(f"source-{wanted.name}-{wanted.version}")):
            if isinstance(wanted, WantedWheel):
                return self._stored(wanted.pin) or self._indexed(wanted)
            _check_commit(wanted)
            known = self._stored(wanted.pin)
            if known is not None:
                return known
            if wanted.source.type == "git":
                return self._git(wanted)
            return self._url(wanted) if wanted.source.type == "url" else self._indexed(wanted)

    def _stored(self, pin: Pin | None) -> Fetched | None:
        file = self.store.source(pin.sha256) if pin is not None and pin.sha256 else None
        if pin is None or file is None:
            return None
        return Fetched(sha256=pin.sha256, file=file, filename=file.name, origin="store", commit=pin.commit)

    def _indexed(self, wanted: Wanted | WantedWheel) -> Fetched:
        pin = wanted.pin
        if pin is not None and pin.url:
            return self._download(wanted, pin.url, pin.file, sha256=pin.sha256, size=None)
        file = self._listed(wanted)
        expected = file.sha256 if pin is None else pin.sha256
        if pin is not None and file.sha256 not in (None, pin.sha256):
            raise _mismatch(file.filename, pin.sha256, str(file.sha256), redact(file.url))
        return self._download(wanted, file.url, file.filename, sha256=expected, size=file.size)

    def _listed(self, wanted: Wanted | WantedWheel) -> File:
        """The file on the index: the pinned one, else the version's sdist, or its wheel for the target."""
        project = self.upstream.project(wanted.name)
        if wanted.pin is not None:
            pinned = wanted.pin.file
            file = next((file for file in project.files if file.filename == pinned), None)
            what = f"the pinned file {pinned!r} of {wanted.name} {wanted.version} is not on the index (any more)"
            cure = "if it is gone for good, give its new place in the pin's url, or drop the version"
        elif isinstance(wanted, WantedWheel):
            file = project.best_wheel(wanted.version, wanted.tags)
            what = project.lack_of_wheel(wanted.version, wanted.target)
            cure = "choose another version, or build it: take [prebuilt] out of its spec"
        else:
            file = self.upstream.sdists(wanted.name).get(wanted.version)
            what = f"the index has no sdist of {wanted.name} {wanted.version}"
            cure = "choose another version, another [source] type, or upstream's wheel: [prebuilt] reason"
        if file is None:
            raise FetchError(what, where=redact(self.upstream.url), cure=cure)
        return file

    def _url(self, wanted: Wanted) -> Fetched:
        url = expand(wanted.source.url, name=wanted.name, version=wanted.version)
        # Only the last component, after unquoting: it becomes a file's name.
        name = PurePosixPath(unquote(urlsplit(url).path)).name or f"{wanted.name}-{wanted.version}"
        sha256 = wanted.pin.sha256 if wanted.pin is not None else None
        return self._download(wanted, url, name, sha256=sha256, size=None)

    def _download(
        self, wanted: Wanted | WantedWheel, url: str, filename: str, *, sha256: str | None, size: int | None
    ) -> Fetched:
        digest_of_url = hashlib.sha256(url.encode()).hexdigest()
        destination = self.store.layout.downloads / digest_of_url
        with file_lock(self.store.layout.lock(f"download-{digest_of_url}")):
            digest = self.client.download(url, destination, sha256=sha256, size=size, progress=self.progress)
            try:
                self._check_identity(destination, filename, wanted)
                file = self.store.add_source(destination, sha256=digest, name=filename)
            finally:
                destination.unlink(missing_ok=True)
        return Fetched(sha256=digest, file=file, filename=filename, origin=redact(url))

    # What only some sources need is imported where it is: a run that finds them all in the store needs none of it.

    def _check_identity(self, file: Path, filename: str, wanted: Wanted | WantedWheel) -> None:
        from pybuilder.sources.identity import check_identity, check_wheel

        if isinstance(wanted, Wanted):
            is_sdist = wanted.source.type == "sdist"
            check_identity(file, filename, wanted.name, wanted.version, sdist=is_sdist)
            return
        with self._scratch() as scratch:
            # A wheel is read under its own name, which says half of what it is.
            named = scratch / filename
            named.hardlink_to(file)
            check_wheel(named, wanted.name, wanted.version)

    def _git(self, wanted: Wanted) -> Fetched:
        from pybuilder.sources.git import Git

        source, pin = wanted.source, wanted.pin
        url = expand(source.url, name=wanted.name, version=wanted.version)
        pinned = pin.commit if pin is not None else ""
        with self._scratch() as scratch:
            git = Git(directory=scratch, environ=self.environ, sleep=self.client.sleep)
            tag = "" if pinned else expand(source.tag, name=wanted.name, version=wanted.version)
            commit = git.fetch(url, tag=tag, commit=pinned or source.commit)
            content = git.content(commit, submodules=source.submodules)
            return self._packed(wanted, content, commit.time, f"{redact(url)} {commit.sha}", commit.sha)

    def _path(self, wanted: Wanted) -> Fetched:
        from pybuilder.sources import tree

        path = expand(wanted.source.path, name=wanted.name, version=wanted.version)
        directory = tree.directory_in(self.workspace, path)
        time = tree.last_commit_time(directory, self.environ)
        return self._packed(wanted, tree.content(directory, self.environ), time, path, "")

    def _packed(self, wanted: Wanted, content: Iterable[Member], time: int, origin: str, commit: str) -> Fetched:
        """Make the archive that everybody would make of this content, and store it."""
        from pybuilder.sources.archive import pack

        stem = f"{wanted.name}-{wanted.version}"
        with self._scratch() as scratch:
            file = scratch / f"{stem}.tar"
            with file.open("wb") as stream:
                pack(stream, content, top=stem, mtime=max(time, 0))
            digest = sha256_file(file)
            pinned = wanted.pin.sha256 if wanted.pin is not None and commit else ""
            if pinned and digest != pinned:
                raise _mismatch(file.name, pinned, digest, origin)
            stored = self.store.add_source(file, sha256=digest, name=file.name)
        return Fetched(sha256=digest, file=stored, filename=stored.name, origin=origin, commit=commit)

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        layout = self.store.layout
        with work_directory(layout, f"source-{secrets.token_hex(6)}") as directory, disk_errors(directory):
            yield directory


def _check_commit(wanted: Wanted) -> None:
    stated, pinned = wanted.source.commit, wanted.pin.commit if wanted.pin is not None else ""
    if stated and pinned and stated != pinned:
        what = f"the spec names commit {stated} of {wanted.name} {wanted.version}, but {pinned} is pinned"
        cure = "drop the version from [versions] if the change is meant"
        raise FetchError(what, where=f"specs/{wanted.name}.toml [source].commit", cure=cure)


def _mismatch(filename: str, expected: str, found: str, where: str) -> FetchError:
    what = f"sha256 mismatch of {filename}: pinned {expected}, found {found}"
    cure = "if upstream has really replaced this file, find out why before you trust it"
    return FetchError(what, where=where, cure=cure)
