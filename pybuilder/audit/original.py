"""A pure wheel of ours against upstream's own: the same files, or which differ."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from pybuilder.audit.shelf import Shelf
from pybuilder.errors import UsageError
from pybuilder.http import Client
from pybuilder.index.pages import File
from pybuilder.names import any_number
from pybuilder.upstream import Upstream
from pybuilder.upstream.files import File as UpstreamFile
from pybuilder.wheel.differences import FileChange, differences
from pybuilder.wheel.filename import WheelName


@dataclass(frozen=True, kw_only=True, slots=True)
class Original:
    """What came of comparing a wheel with upstream's.

    Attributes:
        wheel: Our wheel's file name.
        upstream: Upstream's, and its digest.
        changes: The files that differ, from upstream's to ours.
    """

    wheel: str
    upstream: tuple[str, str]
    changes: tuple[FileChange, ...]

    @property
    def same(self) -> bool:
        """Whether all files are the same but those in which backends write of themselves."""
        return all(map(of_tools, self.changes))


def of_tools(change: FileChange) -> bool:
    """Whether it is a file in which backends write of themselves and of metadata: not what installs or runs."""
    directory, _, name = change.name.partition("/")
    return directory.endswith(".dist-info") and name != "entry_points.txt"


def against_upstream(shelf: Shelf, file: File, *, upstream: Upstream, client: Client, scratch: Path) -> Original:
    """Compare a pure wheel, without its number, with upstream's wheel of the same version.

    Args:
        shelf: The index that has it.
        file: The wheel, as its page lists it.
        upstream: Upstream's index.
        client: Who fetches.
        scratch: A directory for what is fetched.

    Raises:
        UsageError: It is not pure, or upstream has no pure wheel of this version.
        BuildError: One of the two is no sound wheel.
        ValidationError: Ours carries no number.
        FetchError: Upstream's can't be fetched, or has another digest than its index says.
    """
    name = WheelName.parse(file.filename)
    split = any_number(name.version)
    version = split[0] if split else name.version
    if not _pure(name):
        raise UsageError(
            f"{file.filename} is not pure: compilers differ, so that says nothing",
            cure="compare what two pybuilds have built: pybuild challenge URL",
        )
    mine = shelf.reader.file(f"files/{file.filename}")
    if mine is None:
        raise UsageError(f"{file.filename} is missing", where=shelf.reader.where, cure="pybuild index verify")
    theirs = _upstream_wheel(name, version, upstream)
    original = scratch / "upstream" / theirs.filename
    digest = client.download(theirs.url, original, sha256=theirs.sha256, size=theirs.size)
    with shelf.stripped(mine) as (payload, _):
        changes = differences(original, payload).files
    return Original(wheel=file.filename, upstream=(theirs.filename, digest), changes=changes)


def _pure(name: WheelName) -> bool:
    return all(tag.endswith("-none-any") for tag in name.tags)


def _upstream_wheel(name: WheelName, version: Version, upstream: Upstream) -> UpstreamFile:
    pure = [file for file in upstream.project(name.name).wheels(version) if _pure(WheelName.parse(file.filename))]
    if not pure:
        raise UsageError(f"upstream has no pure wheel of {name.name} {version}", cure="there is nothing to compare")
    return next((file for file in pure if WheelName.parse(file.filename).tag == name.tag), pure[0])
