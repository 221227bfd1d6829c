"""One Simple API tree on disk: ``simple/`` with the pages, ``files/`` with what they list.

An index has two: the wheels, and below ``sources/`` what they were built from. Nothing here takes a lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.parser import BytesHeaderParser
from pathlib import Path

from packaging.utils import NormalizedName

from pybuilder.errors import BuildError, ValidationError
from pybuilder.files import CHUNK, atomic_writer, sha256_file, write_atomic
from pybuilder.index import pages
from pybuilder.index.pages import File, PageError
from pybuilder.provenance import BILL
from pybuilder.signing import SUFFIX
from pybuilder.wheel.read import open_wheel

JSON_PAGE = "index.json"
HTML_PAGE = "index.html"
SOURCES = "sources"
KEYS = "keys"
BESIDE = (BILL, SUFFIX)
"""What the names of files add to a wheel's that say more of it: the bill of materials, the provenance."""
# The name that servers choose by the Accept header: Apache's MultiViews and bandersnatch's nginx map go by suffix.
TYPED_JSON_PAGE = "index.v1_json"


@dataclass(frozen=True, slots=True)
class Tree:
    """The pages and files below one directory."""

    root: Path

    @property
    def simple(self) -> Path:
        """The pages."""
        return self.root / "simple"

    @property
    def files(self) -> Path:
        """The files."""
        return self.root / "files"

    def projects(self) -> tuple[NormalizedName, ...]:
        """The projects of the root page; where that is damaged or missing, those that have pages."""
        listed = self._root_page()
        return self.projects_with_pages() if listed is None else listed

    def _root_page(self) -> tuple[NormalizedName, ...] | None:
        try:
            return pages.parse_root_json((self.simple / JSON_PAGE).read_bytes())
        except (FileNotFoundError, PageError):
            return None

    def projects_with_pages(self) -> tuple[NormalizedName, ...]:
        """The projects that have a directory with a page, in order of name."""
        if not self.simple.is_dir():
            return ()
        with os.scandir(self.simple) as entries:
            found = [each.name for each in entries if each.is_dir() and Path(each.path, JSON_PAGE).exists()]
        return tuple(NormalizedName(name) for name in sorted(found))

    def read(self, project: NormalizedName) -> tuple[File, ...]:
        """The files that a project's page lists, in its order; for a damaged page, what `recover` finds."""
        directory = self.simple / project
        try:
            return pages.parse_project_json((directory / JSON_PAGE).read_bytes(), project)
        except FileNotFoundError:
            return self.recover(project) if directory.is_dir() else ()
        except PageError:
            return self.recover(project)

    def recover(self, project: NormalizedName) -> tuple[File, ...]:
        """A project's files from ``files/`` and what is left of its HTML page."""
        page = self.simple / project / HTML_PAGE
        html = page.read_bytes() if page.exists() else b""
        known = {link.filename: link for link in pages.parse_project_html(html)}
        found = []
        for filename in self.scan().get(project, ()):
            link = known.get(filename)
            try:
                # The published digest, not that of what lies there now: or a damaged file would become a good one.
                file = describe(self.files / filename, sha256=link.sha256 if link else None)
            except ValidationError:
                continue
            found.append(replace(file, yanked=link.yanked) if link else file)
        return pages.sorted_files(found)

    def scan(self) -> dict[NormalizedName, list[str]]:
        """The names in ``files/`` that belong to a project, by project, in order of name."""
        found: dict[NormalizedName, list[str]] = {}
        for name in sorted(os.listdir(self.files)) if self.files.is_dir() else ():
            split = pages.split_filename(name)
            if split is not None:
                found.setdefault(split[0], []).append(name)
        return found

    def write(self, project: NormalizedName, files: tuple[File, ...]) -> bool:
        """Make a project's pages list these files; True if that changed a page.

        The JSON page is what is read back, so it is written last: with it the change has happened, and whoever dies
        before has left pages that are valid and the next write makes agree.
        """
        return self._write_pages(
            self.simple / project, pages.project_json(project, files), pages.project_html(project, files)
        )

    def add_to_root(self, projects: Collection[NormalizedName]) -> None:
        """Make the root page list these projects, which have pages, too; not touched if it does."""
        listed = self._root_page()
        if listed is None:
            self.write_root(self.projects_with_pages())
        elif not set(projects).issubset(listed):
            self.write_root({*projects, *listed})

    def write_root(self, projects: Collection[NormalizedName]) -> bool:
        """Make the root page list these projects; True if that changed it."""
        names = sorted(projects)
        return self._write_pages(self.simple, pages.root_json(names), pages.root_html(names))

    def _write_pages(self, directory: Path, json: bytes, html: bytes) -> bool:
        written = [write_changed(path, data) for path, data in rendered(directory, json, html)]
        return any(written)

    def place(self, file: File, content: Path, beside: Mapping[str, bytes]) -> None:
        """Copy a file into ``files/``, with its metadata beside it if it is a wheel; afterwards all are durable.

        Args:
            file: As its page lists it, or will.
            content: Where it is now.
            beside: The files beside it by what their names add; none replaces one that was published with other bytes.

        Raises:
            ValidationError: The content is not what ``file.sha256`` says.
        """
        target = self.files / file.filename
        if file.metadata_sha256:
            write_atomic(metadata_path(target), wheel_metadata(content))
        for suffix, data in beside.items():
            if (suffix, hashlib.sha256(data).hexdigest()) in file.beside:
                write_atomic(beside_path(target, suffix), data)
        digest = hashlib.sha256()
        with atomic_writer(target) as out, content.open("rb") as stream:
            while piece := stream.read(CHUNK):
                digest.update(piece)
                out.write(piece)
            if digest.hexdigest() != file.sha256:
                raise ValidationError(
                    f"{file.filename} is not the file that was validated: its sha256 is {digest.hexdigest()}, "
                    f"not {file.sha256}",
                    where=str(content),
                    cure="build it again",
                )
            out.flush()
            # The time of publishing is in the page; here it outlives the page.
            os.utime(out.fileno(), (file.upload_time.timestamp(),) * 2)

    def holds(self, file: File) -> bool:
        """Whether ``files/`` has a listed file, whole, and all that belongs beside it."""
        target = self.files / file.filename
        wanted = [(target, file.sha256), *((beside_path(target, suffix), sha256) for suffix, sha256 in file.beside)]
        if file.metadata_sha256:
            wanted.append((metadata_path(target), file.metadata_sha256))
        return all(path.is_file() and sha256_file(path) == sha256 for path, sha256 in wanted)

    def remove(self, file: File) -> None:
        """Remove a file that no page lists, and what belongs beside it."""
        target = self.files / file.filename
        beside = [beside_path(target, suffix) for suffix, _ in file.beside]
        for path in (target, metadata_path(target), *beside):
            path.unlink(missing_ok=True)


def rendered(directory: Path, json: bytes, html: bytes) -> Iterator[tuple[Path, bytes]]:
    """Each page of a directory and its bytes, in the order in which they are written."""
    yield directory / HTML_PAGE, html
    yield directory / TYPED_JSON_PAGE, json
    yield directory / JSON_PAGE, json


def write_changed(path: Path, data: bytes) -> bool:
    """Write a small file unless these are its bytes already; True if it was written."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as stream:
        if stream.read() == data:
            return False
    write_atomic(path, data)
    return True


def metadata_path(file: Path) -> Path:
    """Where the metadata file of a wheel lies (PEP 658)."""
    return file.with_name(f"{file.name}.metadata")


def beside_path(file: Path, suffix: str) -> Path:
    """Where a file lies that says more of a wheel."""
    return file.with_name(file.name + suffix)


def with_beside(file: File, path: Path) -> File:
    """A file whose page lists all that lies beside it; what is listed keeps the digest it was published with."""
    there = {suffix: beside_path(path, suffix) for suffix in BESIDE}
    listed = dict(file.beside)
    found = {suffix: sha256_file(each) for suffix, each in there.items() if suffix not in listed and each.is_file()}
    return replace(file, beside=tuple(sorted((found | listed).items()))) if found else file


def describe(path: Path, *, sha256: str | None = None, upload_time: datetime | None = None) -> File:
    """What a page says of a file, from the file.

    Args:
        path: A wheel or a source archive.
        sha256: Its digest, if somebody knows it; else it is computed.
        upload_time: When it is published; else the file's own time.

    Raises:
        ValidationError: It is neither, or a wheel that can't be read.
    """
    split = pages.split_filename(path.name)
    if split is None:
        raise ValidationError(
            f"{path.name} is neither a wheel's nor a source archive's name",
            where=str(path),
            cure="name it as the wheel or sdist format says",
        )
    stat = path.stat()
    metadata = wheel_metadata(path) if path.suffix == ".whl" else b""
    file = File(
        filename=path.name,
        version=split[1],
        sha256=sha256 or sha256_file(path),
        size=stat.st_size,
        upload_time=pages.utc_seconds(upload_time or datetime.fromtimestamp(int(stat.st_mtime), UTC)),
        requires_python=_requires_python(metadata),
        metadata_sha256=hashlib.sha256(metadata).hexdigest() if metadata else "",
    )
    return with_beside(file, path) if metadata else file


def wheel_metadata(path: Path) -> bytes:
    """A wheel's METADATA, byte for byte.

    Raises:
        ValidationError: The file is no sound wheel.
    """
    try:
        return open_wheel(path).metadata
    except BuildError as error:
        raise ValidationError(error.what, where=str(path), cure="build it again") from error


def _requires_python(metadata: bytes) -> str:
    # Folded over lines it would break the page's attribute; white space means nothing in a specifier (PEP 440).
    return " ".join(str(BytesHeaderParser().parsebytes(metadata).get("Requires-Python", "")).split())
