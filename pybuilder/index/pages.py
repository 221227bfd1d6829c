"""The pages of a Simple API tree, rendered and read: pure functions from values to bytes and back.

The JSON page (PEP 691, API 1.4) is also where an index keeps what no file can say of itself: when it was published
and why it was yanked. All URLs are relative, so a tree may be moved, mirrored, or used as ``file://``.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

API_VERSION = "1.4"
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*\Z")
_NORMALIZED = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")
# The canonical form of a version (PEP 440, appendix B) with a local label: what numbering writes, and ten times faster
# to check than to parse.
_CANONICAL = re.compile(
    r"(?:[1-9][0-9]*!)?(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*(?:(?:a|b|rc)(?:0|[1-9][0-9]*))?"
    r"(?:\.post(?:0|[1-9][0-9]*))?(?:\.dev(?:0|[1-9][0-9]*))?(?:\+[a-z0-9]+(?:\.[a-z0-9]+)*)?\Z"
)
_SUFFIX = re.compile(r"(?:\.[a-z0-9]+)+\Z")
_ARCHIVE = re.compile(r"(.+)(\.tar(?:\.[a-z0-9]+)?|\.tgz|\.tbz2?|\.zip)\Z", re.IGNORECASE)


class PageError(ValueError):
    """A page is not what pybuild writes: damaged, or from elsewhere."""


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """One published file, as its project's page lists it.

    Attributes:
        filename: Its name below ``files/``.
        version: The version its name carries: the numbered one of a wheel, upstream's of a source.
        sha256: The digest of its bytes, lower-case hex.
        size: Bytes.
        upload_time: When it was published, in UTC, to the second (PEP 700).
        requires_python: What its metadata says, or empty.
        metadata_sha256: The digest of ``<filename>.metadata`` (PEP 658), or empty for a source, which has none.
        yanked: Why it was yanked (PEP 592), which may be empty, or None when it was not.
        beside: The files that say more of it, sorted: what their names add to its own, such as ``.cdx.json``, and the
            digest of each.
    """

    filename: str
    version: str
    sha256: str
    size: int
    upload_time: datetime
    requires_python: str = ""
    metadata_sha256: str = ""
    yanked: str | None = None
    beside: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """What an HTML page alone says of a file; used when the JSON page beside it is damaged."""

    filename: str
    sha256: str
    yanked: str | None


def split_filename(filename: str) -> tuple[NormalizedName, str] | None:
    """The project and version that a file's name carries, or None where it is neither a wheel nor an archive.

    Sources of old releases have dashes in both parts (``a-b-1.0-beta.tar.gz``): the version is the longest tail
    that is one.
    """
    if not _FILENAME.match(filename):
        return None
    if filename.endswith(".whl"):
        parts = filename.split("-")
        if len(parts) not in (5, 6) or not _CANONICAL.match(parts[1]):
            return None
        return canonicalize_name(parts[0]), parts[1]
    stem = archive_stem(filename)
    for dash in re.finditer("-", stem):
        try:
            return canonicalize_name(stem[: dash.start()]), str(Version(stem[dash.end() :]))
        except InvalidVersion:
            continue
    return None


def archive_stem(filename: str) -> str:
    """A source's file name without its suffix, or empty where it has none that we know."""
    match = _ARCHIVE.match(filename)
    return match[1] if match else ""


def sorted_files(files: Iterable[File]) -> tuple[File, ...]:
    """Files in the order of a page: by version (PEP 440), then by name."""
    return tuple(sorted(files, key=_order))


def with_files(listed: Sequence[File], added: Iterable[File]) -> tuple[File, ...]:
    """A page's files and some more, each at its place; parses few versions, as a page may have thousands."""
    merged = list(listed)
    for file in added:
        place = bisect_left(merged, _order(file), key=_order)
        if place < len(merged) and merged[place].filename == file.filename:
            merged[place] = file
        else:
            merged.insert(place, file)
    return tuple(merged)


def _order(file: File) -> tuple[Version, str]:
    return Version(file.version), file.filename


def project_json(project: NormalizedName, files: Sequence[File]) -> bytes:
    """The PEP 691 page of one project."""
    return _json(
        {
            "meta": {"api-version": API_VERSION},
            "name": project,
            "project-status": {"status": "active"},
            "versions": list(dict.fromkeys(file.version for file in files)),
            "files": [entry(file) for file in files],
        }
    )


def entry(file: File) -> dict[str, Any]:
    """What the JSON page says of one file (PEP 691, 700, 714, 592).

    There is no ``provenance`` (PEP 740), for the reasons that ``pybuilder.provenance`` has; ours is in ``_beside``. A
    leading underscore is an index's own (PEP 691).
    """
    found: dict[str, Any] = {
        "filename": file.filename,
        "url": _url(file),
        "hashes": {"sha256": file.sha256},
        "size": file.size,
        "upload-time": file.upload_time.isoformat().replace("+00:00", "Z"),
        "yanked": file.yanked or file.yanked is not None,
    }
    if file.requires_python:
        found["requires-python"] = file.requires_python
    if file.metadata_sha256:
        # Both keys, as PEP 714 asks: installers older than it look for the second.
        found["core-metadata"] = found["dist-info-metadata"] = {"sha256": file.metadata_sha256}
    if file.beside:
        found["_beside"] = {suffix: {"sha256": sha256} for suffix, sha256 in file.beside}
    return found


def project_html(project: NormalizedName, files: Sequence[File]) -> bytes:
    """The PEP 503 page of one project."""
    status = '<meta name="pypi:project-status" content="active">\n'
    return _html(f"Links for {project}", (_anchor(file) for file in files), head=status)


def _anchor(file: File) -> str:
    attributes = f'href="{_url(file)}#sha256={file.sha256}"'
    if file.requires_python:
        attributes += f' data-requires-python="{escape(file.requires_python)}"'
    if file.metadata_sha256:
        digest = f"sha256={file.metadata_sha256}"
        attributes += f' data-core-metadata="{digest}" data-dist-info-metadata="{digest}"'
    if file.yanked is not None:
        attributes += f' data-yanked="{escape(file.yanked)}"'
    return f"<a {attributes}>{file.filename}</a><br>\n"


def root_json(projects: Sequence[NormalizedName]) -> bytes:
    """The PEP 691 list of projects."""
    return _json({"meta": {"api-version": API_VERSION}, "projects": [{"name": project} for project in projects]})


def root_html(projects: Sequence[NormalizedName]) -> bytes:
    """The PEP 503 list of projects."""
    return _html("Simple index", (f'<a href="{name}/">{name}</a><br>\n' for name in projects))


def parse_root_json(data: bytes) -> tuple[NormalizedName, ...]:
    """The projects of a ``root_json`` page.

    Raises:
        PageError: It is no such page.
    """
    try:
        names = tuple(each["name"] for each in _loads(data)["projects"])
    except (KeyError, TypeError) as error:
        raise PageError(f"is no list of projects: {error!r}") from error
    for name in names:
        if not isinstance(name, str) or not _NORMALIZED.match(name):
            raise PageError(f"lists {name!r}, which is no normalised project name")
    return names


def parse_project_json(data: bytes, project: NormalizedName) -> tuple[File, ...]:
    """The files of a ``project_json`` page.

    Raises:
        PageError: It is no such page, or that of another project.
    """
    page = _loads(data)
    if page.get("name") != project:
        raise PageError(f"is the page of {page.get('name')!r}")
    entries = page.get("files")
    if not isinstance(entries, list):
        raise PageError("has no list of files")
    return tuple(parse_entry(each) for each in entries)


def parse_entry(raw: Mapping[str, Any]) -> File:
    """The file that one ``entry`` describes.

    Raises:
        PageError: A field is missing or wrong.
    """
    try:
        filename, yanked = raw["filename"], raw["yanked"]
        found = split_filename(filename)
        file = File(
            filename=filename,
            version=found[1] if found else "",
            sha256=raw["hashes"]["sha256"],
            size=int(raw["size"]),
            upload_time=datetime.fromisoformat(raw["upload-time"]),
            requires_python=raw.get("requires-python", ""),
            metadata_sha256=raw["core-metadata"]["sha256"] if "core-metadata" in raw else "",
            yanked=yanked if isinstance(yanked, str) else ("" if yanked else None),
            beside=tuple(sorted((suffix, each["sha256"]) for suffix, each in raw.get("_beside", {}).items())),
        )
        digests = (file.sha256, file.metadata_sha256 or file.sha256, *(sha256 for _, sha256 in file.beside))
        sound = all(map(_SHA256.match, digests)) and all(_SUFFIX.match(suffix) for suffix, _ in file.beside)
        if found and sound and raw["url"] == _url(file):
            return file
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PageError(f"has an entry that can't be read: {error!r}") from error
    raise PageError(f"has an entry that can't be right: {filename!r}")


def parse_project_html(data: bytes) -> tuple[Link, ...]:
    """The links of a ``project_html`` page, as far as it can be read; a damaged page gives fewer, not an error."""
    parser = _LinkParser()
    parser.feed(data.decode("utf-8", "replace"))
    return tuple(parser.links)


class _LinkParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[Link] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        # A reason of no length, and HTML's attribute without a value, mean the same (PEP 592).
        yanked = (attributes["data-yanked"] or "") if "data-yanked" in attributes else None
        parts = urlsplit(attributes.get("href") or "")
        sha256 = parts.fragment.removeprefix("sha256=")
        filename = unquote(parts.path).rpartition("/")[2]
        if tag == "a" and _SHA256.match(sha256) and split_filename(filename):
            self.links.append(Link(filename=filename, sha256=sha256, yanked=yanked))


def _url(file: File) -> str:
    # From simple/<project>/. `+` must be %2B: some servers and clients read a bare one as a space. Of what `_FILENAME`
    # lets pass only these two are not plain in a URL, and urllib's `quote` takes most of a long page's time.
    return "../../files/" + file.filename.replace("+", "%2B").replace("!", "%21")


def utc_seconds(moment: datetime) -> datetime:
    """A moment as pages state it: UTC, whole seconds."""
    return moment.astimezone(UTC).replace(microsecond=0)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _loads(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PageError(f"is no JSON: {error}") from error
    if not isinstance(value, dict) or value.get("meta") != {"api-version": API_VERSION}:
        raise PageError(f"is no page of the Simple API {API_VERSION}")
    return value


def _html(title: str, anchors: Iterable[str], *, head: str = "") -> bytes:
    text = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="pypi:repository-version" content="{API_VERSION}">\n{head}'
        f"<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n{''.join(anchors)}</body>\n</html>\n"
    )
    return text.encode()
