"""What an index lists: projects and their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from packaging.utils import BuildTag, InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from pybuilder.filenames import SDIST_SUFFIXES, is_wheel_of, sdist_version
from pybuilder.names import NormalizedName


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """One file of a project, as the index describes it.

    Attributes:
        filename: Its name.
        url: Where it is, absolute, without a fragment.
        sha256: Its digest, where the index gives it.
        size: In bytes, where the index gives it (PEP 700).
        requires_python: The specifier; empty for any Python.
        yanked: Whether it was withdrawn (PEP 592).
        yanked_reason: Why, where somebody said.
        upload_time: When it was uploaded, where the index gives it (PEP 700).
        has_metadata: Whether the index offers its core metadata as a file beside it (PEP 658, 714).
        metadata_sha256: The digest of that, where the index gives it.
    """

    filename: str
    url: str
    sha256: str | None
    size: int | None
    requires_python: str
    yanked: bool
    yanked_reason: str
    upload_time: datetime | None
    has_metadata: bool
    metadata_sha256: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """What an index says of a project.

    Attributes:
        name: The normalised name.
        files: All files, in the order of the page.
        status: ``active``, ``archived``, ``quarantined``, ``deprecated`` or a newer word (PEP 792).
        status_reason: Why, where somebody said.
    """

    name: NormalizedName
    files: tuple[File, ...]
    status: str
    status_reason: str

    def sdists(self) -> dict[Version, File]:
        """One sdist for each version that has any, oldest version first; what has no valid version is left out.

        Of several, one that is not yanked comes before one that is, then the order of ``SDIST_SUFFIXES`` decides.
        """
        best: dict[Version, File] = {}
        for file in sorted(self.files, key=preference):
            version = sdist_version(file.filename, self.name)
            if version is not None:
                best.setdefault(version, file)
        return dict(sorted(best.items()))

    def wheels(self, version: Version) -> tuple[File, ...]:
        """All wheels of a version."""
        return tuple(file for file in self.files if is_wheel_of(file.filename, version))

    def best_wheel(self, version: Version, tags: Sequence[str]) -> File | None:
        """The wheel of a version that an installer would take, or None where none is for this target.

        One that is not yanked comes before one that is; then the order of the tags decides, then the build tag.

        Args:
            version: The version.
            tags: Every tag that the target accepts, best first.
        """
        return self.best_wheels(tags).get(version)

    def best_wheels(self, tags: Sequence[str]) -> dict[Version, File]:
        """``best_wheel`` of each version that has any for this target, oldest version first."""
        ranks = {tag: rank for rank, tag in enumerate(tags)}
        found = [(worth, file) for file in self.files if (worth := _worth(file, self.name, ranks)) is not None]
        # The greatest comes last, and what comes last stays.
        found.sort(key=lambda each: (*each[0], each[1].filename))
        return {version: file for (version, *_), file in found}

    def lack_of_wheel(self, version: Version, target: str) -> str:
        """The sentence that says that no wheel of a version is for a target, and which there are."""
        others = ", ".join(sorted(file.filename for file in self.wheels(version)))
        if not others:
            return f"the index has no wheel of {self.name} {version}"
        return f"none of upstream's wheels of {self.name} {version} is for {target}: {others}"


def sha256_of(digests: Mapping[str, str]) -> str | None:
    """The sha256 among digests that an index gives, in lower case; None where it gives none."""
    digest = digests.get("sha256", "").lower()
    return digest if len(digest) == 64 else None


def preference(file: File) -> tuple[bool, int, str]:
    """What the sdists of one version are sorted by, the preferred first."""
    ranks = [rank for rank, suffix in enumerate(SDIST_SUFFIXES) if file.filename.lower().endswith(suffix)]
    return file.yanked, ranks[0] if ranks else len(SDIST_SUFFIXES), file.filename


def _worth(file: File, name: NormalizedName, ranks: Mapping[str, int]) -> tuple[Version, bool, int, BuildTag] | None:
    """What wheels are compared by, the greatest first to be taken; None for what is no wheel for this target."""
    try:
        found, version, build, tags = parse_wheel_filename(file.filename)
    except (InvalidWheelFilename, InvalidVersion):
        return None
    fitting = [ranks[str(tag)] for tag in tags if str(tag) in ranks]
    return (version, not file.yanked, -min(fitting), build) if fitting and found == name else None
