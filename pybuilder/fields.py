"""Field types that specs, buildroots and settings share; each refuses with a sentence that says what it wants."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    Strict,
    WithJsonSchema,
)

from pybuilder.errors import UsageError
from pybuilder.names import normalize
from pybuilder.toml import describe

T = TypeVar("T")

# No plugin of whatever else is installed changes how files are read; nor does pydantic go through all that to find one.
os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"


def _kebab(name: str) -> str:
    return name.replace("_", "-")


class Table(BaseModel):
    """A table of a file: unknown keys are refused, nothing is converted, nothing changes afterwards."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        alias_generator=_kebab,
        arbitrary_types_allowed=True,
        allow_inf_nan=False,
        # Most tables are only parts of others, whose validators have theirs in them.
        defer_build=True,
    )


TableT = TypeVar("TableT", bound=Table)


def left_out(table: type[TableT]) -> Callable[[], TableT]:
    """What gives a table that a file leaves out: always the same one, since nothing changes it.

    It is not validated, as that would take a validator of its own. So its defaults must be valid as they are written.
    """
    return cache(table.model_construct)


def _parsed(read: Callable[[str], T], wanted: str) -> PlainValidator:
    """A validator for what TOML writes as a string."""

    def validate(value: Any) -> T:
        if not isinstance(value, str):
            raise ValueError(f"expected {wanted}, found {describe(value)}")
        return read(value)

    return PlainValidator(validate, json_schema_input_type=str)


def specifiers(text: str) -> SpecifierSet:
    """Version specifiers (PEP 440), such as ``>=5,<6``.

    Raises:
        ValueError: They are none.
    """
    try:
        return SpecifierSet(text)
    except InvalidSpecifier as error:
        raise ValueError(f"{text!r} is no version range; write it as '>=5,<6' (PEP 440)") from error


def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion as error:
        raise ValueError(f"{text!r} is no version (PEP 440)") from error


def _requirement(text: str) -> Requirement:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise ValueError(f"{text!r} is no requirement (PEP 508): {str(error).splitlines()[0]}") from error
    if requirement.url:
        raise ValueError(f"{text!r} names a URL; builds see our own index only, so name a version range")
    return requirement


def _package(text: str) -> NormalizedName:
    try:
        return normalize(text)
    except UsageError as error:
        raise ValueError(f"{error.what}; write the name alone, without a version") from error


def _normalized(text: str) -> NormalizedName:
    if _package(text) != text:
        raise ValueError(f"{text!r} must be written as {canonicalize_name(text)!r} (PEP 503)")
    return canonicalize_name(text)


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_MOST_BYTES = 1 << 60  # Of memory or disk; more would overflow what counts them.


def duration(text: str) -> timedelta:
    """A length of time, such as ``30m``.

    Raises:
        ValueError: It is none.
    """
    match = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
    if not match:
        raise ValueError(f"{text!r} is no duration; write a number and s, m, h, d or w, such as '30m'")
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])


def size(text: str) -> int:
    """A number of bytes, such as ``4G``.

    Raises:
        ValueError: It is none.
    """
    match = re.fullmatch(r"([0-9]{1,12})([KMGT]?)", text)
    if not match or not int(match[1]):
        raise ValueError(f"{text!r} is no size; write a number and K, M, G or T (powers of 1024), such as '4G'")
    if (found := int(match[1]) * _BYTES[match[2]]) > _MOST_BYTES:
        raise ValueError(f"{text!r} is more than any machine has")
    return found


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from error
    return text


def relative_path(text: str) -> str:
    """A relative path with forward slashes that can't lead out of the directory it is meant for.

    Raises:
        ValueError: It is absolute, empty, or has ``..``, a backslash or a control character in it.
    """
    parts = PurePosixPath(text).parts
    if not parts or text.startswith("/") or ".." in parts or re.search(r"[\\\x00-\x1f\x7f]", text):
        raise ValueError(f"{text!r} must be a plain relative path without '..'")
    return text


def template(text: str) -> str:
    """A text in which ``{name}`` and ``{version}`` stand for the package's.

    Raises:
        ValueError: Another placeholder, or a brace alone.
    """
    try:
        fields = [(name, spec, conversion) for _, name, spec, conversion in string.Formatter().parse(text)]
    except ValueError as error:
        raise ValueError(f"{text!r} is no template: {error}; write a brace itself as '{{{{' or '}}}}'") from error
    for name, spec, conversion in fields:
        if name is not None and (name not in ("name", "version") or spec or conversion):
            raise ValueError(f"{text!r} has a placeholder {{{name}}}; templates know {{name}} and {{version}}")
    return text


def expand(text: str, *, name: str, version: object) -> str:
    """A template with the package's name and version in it."""
    return text.format(name=name, version=version)


def url(text: str, schemes: tuple[str, ...] = ("https", "http", "file")) -> str:
    """An absolute URL.

    Raises:
        ValueError: It has another scheme, no host where one belongs, or white space in it.
    """
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no URL: {error}") from error
    if parts.scheme not in schemes or re.search(r"[\s\x00-\x1f\ud800-\udfff]", text):
        raise ValueError(f"{text!r} is no URL that pybuild fetches; it begins with {' or '.join(schemes)}://")
    if not parts.netloc and parts.scheme != "file":
        raise ValueError(f"{text!r} names no host")
    return text


def _rpm(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9/(][^\x00-\x1f\x7f]*", text):
        raise ValueError(f"{text!r} is no RPM; write its name or something it provides, such as 'pkgconfig(x)'")
    return text


def is_hex(text: str, *lengths: int) -> bool:
    """Whether a text is lower-case hexadecimal digits, as many of them as one of the lengths."""
    return len(text) in lengths and re.fullmatch(r"[0-9a-f]*", text) is not None


def sha256(text: str) -> str:
    """A sha256 as everybody writes it.

    Raises:
        ValueError: It is none.
    """
    if not is_hex(text, 64):
        raise ValueError(f"{text!r} is no sha256; write 64 lower-case hexadecimal digits")
    return text


def _module(text: str) -> str:
    if not all(part.isidentifier() for part in text.split(".")):
        raise ValueError(f"{text!r} is no module; write it as in an import statement, such as 'lxml.etree'")
    return text


def _command(text: str) -> str:
    if not text.strip() or "\x00" in text:
        raise ValueError(f"{text!r} is no command")
    return text


_OWNED = re.compile(
    r"HOME|LANG|LANGUAGE|LC_.*|LD_PRELOAD|LOGNAME|PATH|PWD|SHELL|SOURCE_DATE_EPOCH|TEMP|TMP|TMPDIR|TZ|USER|VIRTUAL_ENV"
    r"|PYTHON(DONTWRITEBYTECODE|HASHSEED|HOME|NOUSERSITE|PATH|SAFEPATH|USERBASE)"
)


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(f"{name!r} is no name of a variable; use letters, digits and '_'")
    if _OWNED.fullmatch(name):
        raise ValueError(f"{name} is pybuild's own: it is the same in every build, so that builds are alike")
    return name


def _reason(text: str) -> str:
    if not text.strip():
        raise ValueError("a reason is needed, for those who read this later")
    return text


def _number(value: Any) -> Any:
    # To Python, and so to pydantic, true and 1.0 equal 1.
    if type(value) is not int:
        raise ValueError(f"expected 1, found {describe(value)}")
    return value


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError(f"{value!r} has a NUL character in it")
    return value


Specifiers = Annotated[SpecifierSet, _parsed(specifiers, "a version range such as '>=5,<6'")]
VersionKey = Annotated[Version, _parsed(_version, "a version")]
Requires = Annotated[Requirement, _parsed(_requirement, "a requirement such as 'wheel>=0.40'")]
PackageName = Annotated[NormalizedName, _parsed(_package, "a package's name")]
OwnName = Annotated[NormalizedName, _parsed(_normalized, "the package's name")]
Duration = Annotated[
    timedelta,
    _parsed(duration, "a duration such as '30m'"),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,6}[smhdw]$"}),
]
Size = Annotated[
    int, _parsed(size, "a size such as '4G'"), WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,12}[KMGT]?$"})
]
Pattern = Annotated[str, AfterValidator(_pattern)]
RelativePath = Annotated[str, AfterValidator(relative_path)]
Template = Annotated[str, AfterValidator(template)]
Url = Annotated[str, AfterValidator(url)]
Rpm = Annotated[str, AfterValidator(_rpm)]
Sha256 = Annotated[str, AfterValidator(sha256)]
Reason = Annotated[str, AfterValidator(_reason)]
Module = Annotated[str, AfterValidator(_module)]
Command = Annotated[str, AfterValidator(_command)]
Environment = Mapping[Annotated[str, AfterValidator(_variable)], Annotated[str, AfterValidator(_no_nul)]]
FormatOne = Annotated[Literal[1], BeforeValidator(_number)]
"""The number of a format of which there is one."""
FileSize = Annotated[int, Field(ge=0, lt=1 << 62)]
"""In bytes."""
Array = Annotated[tuple[T, ...], Strict(False)]
"""A tuple that TOML writes as an array; the elements are as strict as ever."""
