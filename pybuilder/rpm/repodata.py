"""Reading what repositories say about themselves: metalinks, lists of mirrors, repomd.xml. Nothing is fetched here."""

from __future__ import annotations

import hashlib
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

from pybuilder.errors import FetchError
from pybuilder.fields import is_hex

_REPO = "{http://linux.duke.edu/metadata/repo}"
_HASHES = ("sha512", "sha256")
"""The digests of a metalink that count, the strongest first; MD5 and SHA-1 prove nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metalink:
    """Mirrors, best first, and the digests that repomd.xml may have (RFC 5854's predecessor, Metalink 3.0).

    Attributes:
        mirrors: URLs of the repository.
        digests: ``sha256:<hex>`` and the like, of the newest repomd.xml and of older ones that mirrors may still have.
    """

    mirrors: tuple[str, ...]
    digests: frozenset[str]

    def accepts(self, repomd: bytes) -> bool:
        """Whether these are the bytes of a repomd.xml that the metalink vouches for."""
        return any(f"{name}:{hashlib.new(name, repomd).hexdigest()}" in self.digests for name in _HASHES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A file that a repomd.xml names.

    Attributes:
        location: The file, below the repository's URL.
        sha256: Of the file as it lies there.
        size: In bytes; None where repomd.xml does not say.
    """

    location: str
    sha256: str
    size: int | None


def parse_metalink(body: bytes, url: str) -> Metalink:
    """Read a metalink.

    Args:
        body: The document.
        url: Where it came from, for messages.

    Raises:
        FetchError: It is none, or has no mirrors or no digest worth trusting.
    """
    root = _xml(body, url, "metalink")
    files = [each for each in root.iter() if _local(each) == "file" and each.get("name") == "repomd.xml"]
    nodes = [node for file in files for node in file.iter()]
    found = [node for node in nodes if _local(node) == "hash" and node.get("type") in _HASHES]
    # One entry for one state of the repository: where it has a sha512, the sha256 beside it adds nothing.
    digests = frozenset(f"{node.get('type')}:{(node.text or '').strip().lower()}" for node in found)
    urls = [(node.text or "").strip() for node in nodes if _local(node) == "url"]
    mirrors = tuple(each.removesuffix("repodata/repomd.xml") for each in urls if re.match(r"(https?|file)://", each))
    if not mirrors or not digests:
        lack = "mirrors" if not mirrors else "digest of repomd.xml that can be trusted (sha256 or sha512)"
        raise FetchError(f"the metalink has no {lack}", where=url, cure="check the URL: is there such a release?")
    return Metalink(mirrors=mirrors, digests=digests)


def parse_mirrorlist(body: bytes, url: str) -> tuple[str, ...]:
    """The repository's URLs in a list of mirrors: one in a line, ``#`` begins a comment.

    Raises:
        FetchError: There are none.
    """
    lines = [line.strip() for line in body.decode("utf-8", "replace").splitlines()]
    mirrors = tuple(line for line in lines if re.match(r"(https?|file)://", line))
    if not mirrors:
        raise FetchError(
            "the list of mirrors is empty", where=url, cure="check the URL: is there such a release for this arch?"
        )
    return mirrors


@dataclass(frozen=True, kw_only=True, slots=True)
class Repomd:
    """What a repomd.xml names.

    Attributes:
        primary: The list of packages.
        updateinfo: The advisories; None where there are none.
    """

    primary: Listed
    updateinfo: Listed | None


def parse_repomd(body: bytes, url: str) -> Repomd:
    """Find the list of packages in a repomd.xml, and the advisories.

    Raises:
        FetchError: It is no repomd.xml, or names no list with a sha256.
    """
    root = _xml(body, url, "repomd.xml")
    primary = _listed(root, "primary", url)
    if primary is None:
        raise FetchError("repomd.xml names no list of packages (primary) with a sha256", where=url)
    return Repomd(primary=primary, updateinfo=_listed(root, "updateinfo", url))


def _listed(root: ET.Element, kind: str, url: str) -> Listed | None:
    data = root.find(f"{_REPO}data[@type='{kind}']")
    location = data.find(f"{_REPO}location") if data is not None else None
    checksum = data.find(f"{_REPO}checksum[@type='sha256']") if data is not None else None
    if data is None or location is None or checksum is None:
        return None
    href = location.get("href", "")
    sha256 = (checksum.text or "").strip().lower()
    if not href or href.startswith("/") or ".." in href.split("/") or not is_hex(sha256, 64):
        raise FetchError("repomd.xml names no file of the repository, or no sha256 of it", where=url)
    size = (data.findtext(f"{_REPO}size") or "").strip()
    return Listed(location=href, sha256=sha256, size=int(size) if size.isdigit() else None)


def _xml(body: bytes, url: str, what: str) -> ET.Element:
    try:
        return ET.fromstring(body)
    except ET.ParseError as error:
        raise FetchError(f"this is no {what}: {error}", where=url, cure="check the URL of the repository") from error


def _local(node: ET.Element) -> str:
    return node.tag.rpartition("}")[2]
