"""Names, versions and numbers: strings that went through one door each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from packaging.utils import NormalizedName, canonicalize_name, canonicalize_version
from packaging.version import InvalidVersion, Version

from pybuilder.errors import UsageError

__all__ = [
    "NAME",
    "BuildName",
    "NormalizedName",
    "any_number",
    "minor_version",
    "names_in",
    "normalize",
    "numbered_version",
    "package_url",
    "split_number",
    "upstream_key",
]

_LABEL = re.compile(r"[a-z][a-z0-9]*\Z")
_PLAIN = re.compile(r"[A-Za-z0-9._~:-]*")
NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
"""A pattern for names of packages (core metadata, Name)."""
_NAME = re.compile(NAME)


def minor_version(python: str) -> str:
    """``3.14`` of a Python's full version, such as ``3.14.2``."""
    return ".".join(python.split(".")[:2])


def normalize(name: str) -> NormalizedName:
    """The normalised form of a project name (PEP 503), refused if it is no name at all.

    Raises:
        UsageError: ``name`` is no project name (core metadata, Name).
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no package name",
            cure="use letters, digits, '.', '-' and '_', beginning and ending with a letter or digit",
        )
    return canonicalize_name(name)


def names_in(text: str) -> set[NormalizedName]:
    """The words of a message that may be names of packages, normalised."""
    return {canonicalize_name(word) for word in _NAME.findall(text)}


def is_label(label: str) -> bool:
    """Whether a string may stand before the number in a local version label.

    A letter first, then letters and digits: PEP 440 separates the segments of a local version with dots, and
    ``pb.2`` must split in one way only.
    """
    return bool(_LABEL.match(label))


def upstream_key(version: Version) -> str:
    """One string for all spellings of an upstream version: ``1.0`` and ``1.0.0`` are the same release (PEP 440)."""
    return canonicalize_version(version)


def numbered_version(version: Version, label: str, number: int) -> Version:
    """The version with our number on it: ``1.2.3+pb.2``, or ``1.2.3+cu126.pb.2`` where upstream has a label itself."""
    joint = "." if version.local else "+"
    return Version(f"{version}{joint}{label}.{number}")


def split_number(version: Version, label: str) -> tuple[Version, int] | None:
    """The upstream version and number of a numbered version, or None where it carries no number under ``label``."""
    split = any_number(version)
    return (split[0], split[2]) if split and split[1] == label else None


def any_number(version: Version) -> tuple[Version, str, int] | None:
    """The upstream version, the label and the number of a version that carries one under whatever label, or None."""
    parts = (version.local or "").split(".")
    if len(parts) < 2 or not parts[-1].isdigit():
        return None
    rest = ".".join(parts[:-2])
    return Version(version.public + (f"+{rest}" if rest else "")), parts[-2], int(parts[-1])


def package_url(kind: str, name: str, version: str, *, namespace: str = "", **qualifiers: str) -> str:
    """A package URL (package-url/purl-spec); qualifiers that are empty are left out."""
    parts = [kind, *([namespace] if namespace else []), name]
    path = "/".join(_quoted(part) for part in parts)
    query = "&".join(f"{key}={_quoted(value)}" for key, value in sorted(qualifiers.items()) if value)
    return f"pkg:{path}@{_quoted(version)}" + (f"?{query}" if query else "")


def _quoted(text: str) -> str:
    # Most of it is plain, and there are hundreds of RPMs, for which `quote` alone takes most of the time.
    return text if _PLAIN.fullmatch(text) else quote(text, safe=":")


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildName:
    """What a person types to name a build: ``[CHANNEL/]NAME[==VERSION[+LABEL.N]]``.

    Attributes:
        channel: The channel, or empty for the current one.
        name: The normalised package name.
        version: Upstream's version, or the numbered one, or None for the latest attempt.
    """

    channel: str
    name: NormalizedName
    version: Version | None

    @classmethod
    def parse(cls, text: str) -> BuildName:
        """Read a build's name.

        Raises:
            UsageError: The text has another form.
        """
        channel, _, rest = text.rpartition("/")
        name, equals, version = rest.partition("==")
        try:
            return cls(channel=channel, name=normalize(name.strip()), version=Version(version) if equals else None)
        except InvalidVersion as error:
            raise UsageError(
                f"{version!r} in {text!r} is no version",
                cure="write it as NAME==VERSION, such as six==1.17.0",
            ) from error
