"""What the responses of a server mean, and the URLs that are asked: words of the HTTP client."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pybuilder.errors import FetchError
from pybuilder.posting import TRANSIENT

if TYPE_CHECKING:
    import httpx2


class NotFoundError(FetchError):
    """The server says that there is no such thing (404 or 410), or there is no such file."""


class RefusedError(FetchError):
    """The server does not let us (401, 403 or 407)."""


class UnreachableError(FetchError):
    """The server does not answer, or only that it can't just now, however often it is asked."""


class TryAgain(Exception):
    """One attempt failed in a way that another may not."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def scheme(url: str) -> str:
    """The scheme of a URL in lower case, empty where it has none."""
    return url.partition(":")[0].lower() if ":" in url else ""


def redact(url: str) -> str:
    """A URL fit for messages: no user name, no password, no query (signed URLs keep their secrets there)."""
    head, query, _ = url.partition("?")
    return re.sub(r"(?<=://)[^/]*@", "", head) + ("?…" if query else "")


def check_status(response: httpx2.Response, url: str, now: float) -> None:
    """Let what is an answer pass.

    Args:
        response: The response.
        url: What was asked for.
        now: The time in seconds since the epoch.

    Raises:
        TryAgain: The server can't answer now.
        NotFoundError: It is not there.
        FetchError: The server answers something else.
    """
    status = response.status_code
    said = f"the server answers {status} {response.reason_phrase}".rstrip()
    if status in (404, 410):
        raise NotFoundError(said, where=redact(url), cure="check the name, the version and the URL")
    if status in (401, 403, 407):
        raise RefusedError(said, where=redact(url), cure="check the user name and password for this server")
    if status in TRANSIENT:
        raise TryAgain(said, retry_after(response.headers.get("Retry-After", ""), now))
    if not 200 <= status < 300:
        raise FetchError(said, where=redact(url))


def transport_fault(error: Exception, url: str) -> Exception:
    """What follows from a request that got no response: whether to try again, or what is wrong."""
    import ssl

    import httpx2

    if isinstance(error, httpx2.UnsupportedProtocol):
        return FetchError("the server redirects to something that is no http", where=redact(url))
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            cure = "add the authority to the system's certificates, or point SSL_CERT_FILE at a bundle that has it"
            return FetchError("the server's certificate is not trusted", where=redact(url), cure=cure)
        cause = cause.__cause__ or cause.__context__
    return TryAgain(clean(error, url))


def clean(error: Exception, url: str) -> str:
    """The words of an error, without secrets of the URL."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
    detail = str(error).replace(url, redact(url))
    return f"{words}: {detail}" if detail else words


def retry_after(header: str, now: float) -> float:
    """Seconds to wait by a Retry-After header: a number or a date (RFC 9110, section 10.2.3); 0 if neither."""
    if header.strip().isdecimal():
        return float(header)
    moment = http_date(header)
    return moment.timestamp() - now if moment else 0.0


def http_date(text: str) -> datetime | None:
    """A date in a header field (RFC 9110, section 5.6.7), which means GMT whatever it says; None where it is none."""
    import email.utils

    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def range_start(response: httpx2.Response) -> int:
    """The first byte of what a response brings.

    Raises:
        TryAgain: It doesn't say.
    """
    if response.status_code != 206:
        return 0
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if not found:
        raise TryAgain("the server sent a range without saying which")
    return int(found[1])


def total_size(response: httpx2.Response, start: int) -> int | None:
    """The size of a file, of which a response brings what begins at ``start``; None where it doesn't say."""
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdigit() else None
