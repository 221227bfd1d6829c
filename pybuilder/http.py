"""The one HTTP client: bounded pages, downloads that resume and are verified, retries that know when to stop."""

from __future__ import annotations

import math
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import unquote, urlsplit

from pybuilder import interruption
from pybuilder.connections import Connections, open_client
from pybuilder.errors import FetchError
from pybuilder.files import CHUNK, disk_errors, sha256_file
from pybuilder.responses import (
    NotFoundError,
    RefusedError,
    TryAgain,
    UnreachableError,
    check_status,
    clean,
    range_start,
    redact,
    retry_after,
    scheme,
    total_size,
    transport_fault,
)

if TYPE_CHECKING:
    import httpx2

    from pybuilder.download import Download, Progress
    from pybuilder.posting import Answer

__all__ = [
    "ATTEMPTS",
    "PAGE_LIMIT",
    "Client",
    "NotFoundError",
    "Page",
    "RefusedError",
    "UnreachableError",
    "redact",
    "scheme",
]

T = TypeVar("T")

PAGE_LIMIT = 64 << 20
ATTEMPTS = 5
_LONGEST_WAIT = 60.0
_NETWORK_CURE = "check the network, the proxy settings and the URL; what is in the store already needs no network"
_CONDITIONS = frozenset({"If-None-Match", "If-Modified-Since"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A small document.

    Attributes:
        url: Where it came from in the end, after redirects.
        content_type: The media type without parameters, in lower case; empty where none was given.
        body: Its bytes, content codings undone.
        headers: The header fields, by their names in lower case.
    """

    url: str
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Client:
    """A context manager that owns the connections; it may be used from several threads.

    Args:
        timeout: Seconds without a byte after which an attempt has failed.
        sleep: How to wait between attempts, in seconds.
        jitter: A number from 0 to 1, so that clients that failed together do not return together.
        now: The time in seconds since the epoch.
    """

    timeout: float = 30.0
    sleep: Callable[[float], None] = interruption.sleep
    jitter: Callable[[], float] = random.random
    now: Callable[[], float] = time.time
    _http: httpx2.Client | None = field(default=None, init=False, repr=False)
    _opening: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _connections: Connections = field(default_factory=Connections, init=False, repr=False)
    _opened: ExitStack = field(default_factory=ExitStack, init=False, repr=False)

    def __enter__(self) -> Self:
        """Open nothing yet: work that is all in the store should not pay for a client."""
        self._opened.enter_context(interruption.woken_by(self._connections.end))
        return self

    def __exit__(self, *exception: object) -> None:
        """Close all connections."""
        self._opened.close()
        if self._http is not None:
            self._http.close()
            self._http = None

    def get(self, url: str, *, accept: str = "*/*", limit: int = PAGE_LIMIT) -> Page:
        """Fetch a document into memory.

        Args:
            url: An ``http``, ``https`` or ``file`` URL.
            accept: The Accept header.
            limit: The most bytes it may have.

        Raises:
            NotFoundError: It is not there.
            FetchError: It can't be fetched, or is larger than ``limit``.
        """
        page = self.renew(url, headers={"Accept": accept}, limit=limit)
        assert page is not None
        return page

    def renew(
        self,
        url: str,
        *,
        etag: str = "",
        modified: str = "",
        headers: Mapping[str, str] = MappingProxyType({}),
        limit: int = PAGE_LIMIT,
        attempts: int = ATTEMPTS,
        seconds: float = math.inf,
    ) -> Page | None:
        """Fetch a document into memory, unless it is as it was (RFC 9110, section 13).

        Args:
            url: An ``http``, ``https`` or ``file`` URL.
            etag: The ETag it had; empty where it had none.
            modified: The Last-Modified it had, likewise.
            headers: Header fields of the request.
            limit: The most bytes it may have.
            attempts: How many may fail before it is given up.
            seconds: How long one attempt may take, for servers that send a byte now and then.

        Returns:
            None where the server says that it is as it was.

        Raises:
            NotFoundError: It is not there.
            FetchError: It can't be fetched, or is larger than ``limit``.
        """
        if scheme(url) == "file":
            with _local(url) as path, path.open("rb") as stream:
                return _bounded(Page(url=url, content_type="", body=stream.read(limit + 1)), limit)
        conditions = {"If-None-Match": etag, "If-Modified-Since": modified}
        asked = {**headers, **{name: value for name, value in conditions.items() if value}}
        page = self._retried(url, lambda: self._get_once(url, asked, limit, seconds), attempts=attempts)
        return page and _bounded(page, limit)

    def part(self, url: str, start: int, length: int) -> tuple[bytes, int] | None:
        """Fetch some bytes of a file (RFC 9110, section 14).

        Args:
            url: An ``http``, ``https`` or ``file`` URL.
            start: The first byte; negative counts from the end.
            length: How many bytes at most.

        Returns:
            The bytes and the size of the whole file; None where the server sends whole files only.

        Raises:
            NotFoundError: It is not there.
            FetchError: It can't be fetched, or other bytes were sent than asked for.
        """
        if scheme(url) == "file":
            with _local(url) as path, path.open("rb") as stream:
                size = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, size + start if start < 0 else start))
                return stream.read(length), size
        return self._retried(url, lambda: self._part_once(url, start, length))

    def download(
        self,
        url: str,
        destination: Path,
        *,
        sha256: str | None = None,
        size: int | None = None,
        attempts: int = ATTEMPTS,
        progress: Progress | None = None,
    ) -> str:
        """Fetch a file; what arrived so far lies beside it as ``.part``, from which a later call goes on.

        Args:
            url: An ``http``, ``https`` or ``file`` URL.
            destination: The file; only one process at a time may fetch to it.
            sha256: The digest it must have.
            size: The size in bytes it must have.
            attempts: How many in a row may bring nothing before it is given up.
            progress: Called with the bytes so far and the bytes in all, if known.

        Returns:
            The sha256 of the file.

        Raises:
            NotFoundError: It is not there.
            FetchError: It can't be fetched, or has another digest or size; nothing is kept of a wrong file.
        """
        # Imported here, as what posting needs: what is in the store already needs none of it.
        from pybuilder.download import Download, PartFile

        part, report = PartFile(destination), progress or _silent
        job = Download(url=url, part=part, sha256=sha256, size=size, attempts=attempts, report=report)
        with disk_errors(destination):
            destination.parent.mkdir(parents=True, exist_ok=True)
            while True:
                resumed = self._fill(job)
                digest = sha256_file(job.part.path)
                wrong = job.fault(digest, where=redact(url))
                if wrong is None:
                    job.part.path.replace(destination)
                    job.part.remove()
                    return digest
                job.part.remove()
                # What an earlier run left may have been of another file: once more, from nothing.
                if not resumed:
                    raise wrong

    def post(self, url: str, body: bytes, headers: Mapping[str, str], *, timeout: float) -> Answer:
        """Send something, once, and not to where the server redirects: there it would come as a GET.

        Args:
            url: An ``http`` or ``https`` URL.
            body: What to send.
            headers: Say what it is.
            timeout: Seconds to wait for a connection, and for each part of the answer.

        Raises:
            FetchError: It can't be sent, now or later.
        """
        from pybuilder.posting import Answer

        sent: dict[str, Any] = {"content": body, "follow_redirects": False, "timeout": timeout}
        try:
            with self._stream(url, headers, method="POST", **sent) as response:
                wait = retry_after(response.headers.get("Retry-After", ""), self.now())
                return Answer(status=response.status_code, reason=response.reason_phrase, wait=wait)
        except TryAgain as fault:
            return Answer(status=0, reason=str(fault), wait=0.0)

    def _fill(self, job: Download) -> bool:
        """Fetch until the part is whole; whether it began with bytes that an earlier run had left."""
        if scheme(job.url) == "file":
            job.part.remove()
            with _local(job.url) as path, path.open("rb") as stream:
                job.append(iter(lambda: stream.read(CHUNK), b""), path.stat().st_size)
            return False
        job.drop_what_cannot_be_resumed()
        resumed = job.part.size > 0
        if not (job.part.path.exists() and job.part.size == job.size):
            self._retried(job.url, lambda: self._fill_once(job), lambda: job.part.size, job.attempts)
        return resumed

    def _get_once(self, url: str, headers: Mapping[str, str], limit: int, seconds: float) -> Page | None:
        end = time.monotonic() + seconds
        with self._stream(url, headers) as response:
            if response.status_code == 304 and not headers.keys().isdisjoint(_CONDITIONS):
                return None
            check_status(response, url, self.now())
            body = bytearray()
            for chunk in response.iter_bytes():
                interruption.check()
                if time.monotonic() > end:
                    raise TryAgain(f"it took more than {seconds:g} s")
                body += chunk
                if len(body) > limit:
                    break
            kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            return Page(url=str(response.url), content_type=kind, body=bytes(body), headers=dict(response.headers))

    def _part_once(self, url: str, start: int, length: int) -> tuple[bytes, int] | None:
        asked = f"bytes={start}" if start < 0 else f"bytes={start}-{start + length - 1}"
        with self._stream(url, {"Range": asked, "Accept-Encoding": "identity"}) as response:
            if response.status_code == 416:
                # The file is empty, or the server knows no bytes from the end.
                return None
            check_status(response, url, self.now())
            found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", response.headers.get("Content-Range", ""))
            if response.status_code != 206 or not found:
                return None
            first, last, size = map(int, found.groups())
            if first != (max(0, size + start) if start < 0 else start) or not 0 <= last - first < length:
                raise FetchError("the server sent another part of the file than was asked for", where=redact(url))
            data = bytearray()
            for chunk in response.iter_raw():
                interruption.check()
                data += chunk
                if len(data) > last - first + 1:
                    raise FetchError(f"the server sent more than the {length} bytes asked for", where=redact(url))
            if len(data) <= last - first:
                raise TryAgain(f"only {len(data)} of {last - first + 1} bytes came")
            return bytes(data), size

    def _fill_once(self, job: Download) -> None:
        job.drop_what_cannot_be_resumed()
        headers = job.part.range_headers()
        # Raw bytes: where a server labels a .tar.gz as gzip-coded, undoing that would change the file.
        with self._stream(job.url, headers | {"Accept-Encoding": "identity"}) as response:
            if response.status_code == 416:
                job.part.remove()
                raise TryAgain("the server has nothing after what came before")
            check_status(response, job.url, self.now())
            start = range_start(response)
            if start != job.part.size:
                job.part.remove()
                if start:
                    raise TryAgain("the server sent another range than it was asked for")
            if not start:
                job.part.note_validator(response.headers)
            job.append(response.iter_raw(), total_size(response, start))
        if job.size is not None and job.part.size < job.size:
            raise TryAgain(f"only {job.part.size} of {job.size} bytes came")

    def _retried(
        self, url: str, attempt: Callable[[], T], progressed: Callable[[], int] = lambda: 0, attempts: int = ATTEMPTS
    ) -> T:
        """Try until it works or ``attempts`` in a row came no further than any before."""
        failures, furthest = 0, progressed()
        while True:
            try:
                return attempt()
            except TryAgain as fault:
                reason, wait = str(fault), fault.wait
            if progressed() > furthest:
                failures, furthest = 0, progressed()
            failures += 1
            if failures == attempts:
                what = f"fetching failed {attempts} times: {reason}"
                raise UnreachableError(what, where=redact(url), cure=_NETWORK_CURE)
            backoff = 0.5 * 2 ** (failures - 1) * (1 + self.jitter())
            self.sleep(min(max(wait, backoff), _LONGEST_WAIT))

    @contextmanager
    def _stream(
        self, url: str, headers: Mapping[str, str], *, method: str = "GET", **sent: Any
    ) -> Iterator[httpx2.Response]:
        import httpx2

        if scheme(url) not in ("http", "https"):
            raise FetchError("the URL is neither http, https nor file", where=redact(url))
        if self._connections.cut:
            raise FetchError("fetching was interrupted", where=redact(url))
        with self._opening:
            if self._http is None:
                self._http = open_client(self.timeout)
        try:
            traced = {"trace": self._connections.trace}
            with self._http.stream(method, url, headers=headers, extensions=traced, **sent) as response:
                yield response
        except httpx2.TransportError as error:
            raise transport_fault(error, url) from error
        except (httpx2.InvalidURL, httpx2.TooManyRedirects, httpx2.DecodingError) as error:
            raise FetchError(f"fetching failed: {clean(error, url)}", where=redact(url)) from error


def _bounded(page: Page, limit: int) -> Page:
    if len(page.body) > limit:
        raise FetchError(f"the page is larger than {limit} bytes", where=redact(page.url))
    return page


def _silent(done: int, total: int | None) -> None:
    """Report nothing."""


@contextmanager
def _local(url: str) -> Iterator[Path]:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise FetchError("a file URL must name no other host", where=redact(url), cure="write file:///path")
    try:
        yield Path(unquote(parts.path))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise NotFoundError("there is no such file", where=redact(url)) from error
