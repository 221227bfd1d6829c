"""Reading a published index: a directory, or the same files over HTTP."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

from pybuilder.errors import FetchError, UsageError
from pybuilder.files import disk_errors
from pybuilder.http import PAGE_LIMIT, Client, NotFoundError, redact, scheme

_SIMPLE = "/simple"
_FILES = "/files/"


class Reader(Protocol):
    """An index that can be read. Paths are below it, with slashes, and of letters that were checked before."""

    @property
    def where(self) -> str:
        """What the index is called in messages."""

    def read(self, path: str) -> bytes | None:
        """A small file; None where there is none."""

    def file(self, path: str) -> Path | None:
        """A file of any size, as one on this disk that has its name; None where there is none."""

    def forget(self, path: str) -> None:
        """A file is not needed any more: what was fetched for it may go, since an index is larger than a disk."""

    def names(self, path: str) -> tuple[str, ...] | None:
        """What a directory has, sorted; None where nobody can say, which is so over HTTP."""


@dataclass(frozen=True, slots=True)
class DirectoryReader:
    """An index on this disk."""

    root: Path

    @property
    def where(self) -> str:
        """The directory."""
        return str(self.root)

    def read(self, path: str) -> bytes | None:
        """A small file; None where there is none."""
        target = self.root / path
        with disk_errors(target):
            try:
                with target.open("rb") as stream:
                    data = stream.read(PAGE_LIMIT + 1)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None
        if len(data) > PAGE_LIMIT:
            raise FetchError(f"the file is larger than {PAGE_LIMIT} bytes", where=str(target))
        return data

    def file(self, path: str) -> Path | None:
        """The file itself."""
        target = self.root / path
        return target if target.is_file() else None

    def forget(self, path: str) -> None:
        """Nothing was fetched."""

    def names(self, path: str) -> tuple[str, ...] | None:
        """What a directory has, sorted; nothing where there is none."""
        with disk_errors(self.root / path):
            try:
                return tuple(sorted(os.listdir(self.root / path)))
            except (FileNotFoundError, NotADirectoryError):
                return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpReader:
    """An index behind a URL; it may be used from several threads.

    Attributes:
        client: Who fetches.
        url: Of the index, with a slash at its end.
        scratch: A directory for what is fetched, which is somebody else's to remove.
    """

    client: Client
    url: str
    scratch: Path
    _fetching: dict[str, threading.Lock] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def where(self) -> str:
        """The URL, without what is secret in it."""
        return redact(self.url)

    def read(self, path: str) -> bytes | None:
        """A small file; None where the server says that there is none."""
        try:
            return self.client.get(self.url + quote(path)).body
        except NotFoundError:
            return None

    def file(self, path: str) -> Path | None:
        """The file, fetched unless it was before."""
        target = self.scratch / path
        # Two wheels may have one source, and a file is fetched to by one at a time.
        with self._fetching.setdefault(path, threading.Lock()):
            if not target.exists():
                try:
                    self.client.download(self.url + quote(path), target)
                except NotFoundError:
                    return None
        return target

    def forget(self, path: str) -> None:
        """Remove what was fetched."""
        (self.scratch / path).unlink(missing_ok=True)

    def names(self, path: str) -> tuple[str, ...] | None:
        """Nobody can say: servers list directories each in their own way, or not at all."""
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a person says that something is.

    Attributes:
        index: The index: a directory, or a URL that ends with a slash.
        wheel: A wheel of it; empty where only the index is named.
        is_url: Whether the index is a URL.
    """

    index: str
    wheel: str = ""
    is_url: bool = False

    @classmethod
    def of(cls, text: str) -> Place | None:
        """The index, or the wheel in one, that a text names; None where it names neither.

        An index may be named as pip is told of it, with ``simple/`` at its end.

        Raises:
            UsageError: It is a URL of something else.
        """
        if scheme(text) in ("http", "https"):
            return cls._of_url(text)
        if scheme(text) == "file":
            text = unquote(urlsplit(text).path)
        path = Path(text).absolute()
        if path.suffix == ".whl" and path.parent.name == "files" and (path.parents[1] / "simple").is_dir():
            return cls(index=str(path.parents[1]), wheel=path.name)
        if path.name == "simple" and path.is_dir():
            path = path.parent
        return cls(index=str(path)) if (path / "simple").is_dir() else None

    @classmethod
    def _of_url(cls, text: str) -> Place:
        parts = urlsplit(text)
        if parts.query:
            raise UsageError("a URL with a query is no index's", where=redact(text))
        url = text.partition("#")[0]
        if parts.path.endswith(".whl"):
            index, slash, name = url.rpartition(_FILES)
            name = unquote(name)
            if not slash or "/" in name:
                raise UsageError(
                    "this wheel lies in no index of pybuild's",
                    where=redact(text),
                    cure="name it as its index does: URL/files/NAME.whl",
                )
            return cls(index=index + "/", wheel=name, is_url=True)
        return cls(index=url.rstrip("/").removesuffix(_SIMPLE) + "/", is_url=True)

    def open(self, client: Client, scratch: Path) -> Reader:
        """A reader of the index.

        Args:
            client: Fetches, where that is needed.
            scratch: A directory for what is fetched.
        """
        if self.is_url:
            return HttpReader(client=client, url=self.index, scratch=scratch)
        return DirectoryReader(Path(self.index))
