"""pip's requirements and constraints files: which lines pybuild takes, and what to do in place of the others.

The form is pip's own ("Requirements File Format" in its manual), as its ``req_file`` module reads it: comments, lines
continued with a backslash, and options.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement

from pybuilder.errors import ConfigError
from pybuilder.fields import is_hex
from pybuilder.toml import nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class Stated:
    """A requirement of a file.

    Attributes:
        requirement: What it says.
        hashes: The sha256s that its archive may have, in the order they stand; none where any archive will do.
        place: Where it stands: ``requirements.txt:3``.
    """

    requirement: Requirement
    hashes: tuple[str, ...]
    place: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Include:
    """A line that names another file.

    Attributes:
        file: The other file, relative to the one with the line.
        constraints: Whether it only limits versions (``-c``), or requires as well (``-r``).
        place: Where the line stands.
    """

    file: str
    constraints: bool
    place: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirements:
    """What one file says, in its order."""

    lines: tuple[Stated | Include, ...]


def parse_requirements(text: str, file: str, *, constraints: bool = False) -> Requirements:
    """Read a requirements or a constraints file.

    Args:
        text: The file's text.
        file: Its name for messages.
        constraints: Whether it only limits versions.

    Raises:
        ConfigError: Lists every line that can't be taken, with what to do in its place.
    """
    found: list[_Found] = []
    for number, line in _logical_lines(text.removeprefix("\ufeff")):
        found += _line(line, _Place(f"{file}:{number}", constraints))
    if problems := [each for each in found if isinstance(each, ConfigError)]:
        raise ConfigError.of(problems, what=f"{file} has {len(problems)} problems")
    return Requirements(lines=tuple(each for each in found if not isinstance(each, ConfigError)))


_Found = Stated | Include | ConfigError


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a line stands, and whether its file only limits versions."""

    place: str
    constraints: bool

    def problem(self, what: str, cure: str) -> ConfigError:
        return ConfigError(what, where=self.place, cure=cure)


_COMMENT = re.compile(r"(^|\s+)#.*$")


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, continued ones as one, with the numbers of their first lines.

    A comment ends a line that was continued, as in pip.
    """
    begun: list[str] = []
    first = 0
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        first = first if begun else number
        continued = line.endswith("\\") and not _COMMENT.match(line) and number < len(lines)
        # A comment is one only after white space, also where what it follows was continued.
        begun.append(f" {line}" if _COMMENT.match(line) else line.rstrip("\\"))
        if not continued:
            if whole := _COMMENT.sub("", "".join(begun)).strip():
                yield first, whole
            begun = []


_VARIABLE = re.compile(r"\$\{(\w+)\}")
_FIRST_OPTION = re.compile(r"(?:^|\s)(?=-)")


def _line(line: str, at: _Place) -> Iterator[_Found]:
    """What a line says, or all that is wrong with it."""
    requirement, *rest = (part.strip() for part in _FIRST_OPTION.split(line, maxsplit=1))
    if variable := _VARIABLE.search(line):
        what = f"the variable ${{{variable[1]}}} would make this file mean something else on another machine"
        yield at.problem(what, "write what it stands for")
        if requirement:
            return
    try:
        words = shlex.split(rest[0]) if rest else []
    except ValueError as error:
        yield at.problem(f"the options can't be told apart: {str(error).lower()}", "close the quotation")
        return
    options = tuple(_options(words))
    yield from _requirement(requirement, options, at) if requirement else _directive(options, at)


def _options(words: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Options with their values: ``--name=value``, ``--name value``, ``-nvalue``, ``-n value``.

    A value that is not there is None. What is no option has an empty name. Nothing is told of what follows an unknown
    option, whose value it may be.
    """
    pending = list(words)
    while pending:
        word = pending.pop(0)
        if not word.startswith("-"):
            yield "", word
            continue
        name, equals, value = word.partition("=") if word.startswith("--") else (word[:2], word[2:], word[2:])
        name = _SHORT.get(name, name)
        if name in _VALUED and not equals and pending:
            equals, value = "=", pending.pop(0)
        yield name, value if equals else None
        if name not in _VALUED and name not in _BARE:
            return


_SPEC = "write a spec with a [source] of type"
_INDEX = ("chooses where packages come from", "set `index` in pybuild.toml: everything comes from there")
_SETTINGS = ("hands settings to a backend", "write them as [build] config-settings into the package's spec")
_SHORT = {
    "-r": "--requirement",
    "-c": "--constraint",
    "-e": "--editable",
    "-i": "--index-url",
    "-f": "--find-links",
    "-C": "--config-settings",
}
_TAKEN = ("--constraint", "--hash", "--no-binary", "--requirement")
# Options that want a value, and those that want none, each with why it is refused and what to do, if that does not
# depend on the value.
_VALUED = {
    **dict.fromkeys(_TAKEN, ("", "")),
    "--editable": ("asks for an editable installation", ""),
    "--index-url": _INDEX,
    "--extra-index-url": _INDEX,
    "--find-links": _INDEX,
    "--trusted-host": _INDEX,
    "--only-binary": ("asks for upstream's wheels", "leave it out: everything is built from source"),
    "--use-feature": ("is about pip itself", "leave it out"),
    "--config-settings": _SETTINGS,
    "--global-option": _SETTINGS,
}
_BARE = {
    "--no-index": _INDEX,
    "--pre": (
        "asks for prereleases of everything",
        "name a prerelease in its requirement (six>=2.0rc1), or set prereleases = true in its spec's [update]",
    ),
    "--prefer-binary": ("asks for upstream's wheels", "leave it out: everything is built from source"),
    "--require-hashes": (
        "is about all that is installed, of which this file is only a part",
        "leave it out: every archive is pinned by its digest, and bootstrap --locked repeats them all",
    ),
}


def _directive(options: Sequence[tuple[str, str | None]], at: _Place) -> Iterator[Include | ConfigError]:
    """What a line of options alone says."""
    for name, value in options:
        if name in ("--requirement", "--constraint") and value:
            yield _include(value, at, constraints=name == "--constraint")
        elif name == "--hash":
            yield at.problem("--hash belongs to no requirement", r"write it behind one, or end the line before with \ ")
        elif name != "--no-binary" or not value:
            yield _refused(name, value, at)


def _include(file: str, at: _Place, *, constraints: bool) -> Include | ConfigError:
    if _URL.match(file):
        return at.problem("a file at a URL may be another one tomorrow", "download it, and name the copy")
    if re.search(r"[\x00-\x1f\x7f]", file):
        return at.problem(f"{file!r} names no file", "correct the path")
    if at.constraints and not constraints:
        return at.problem("a constraints file requires nothing, so it names no requirements file", "write -c, not -r")
    return Include(file=file, constraints=constraints, place=at.place)


def _refused(name: str, value: str | None, at: _Place) -> ConfigError:
    """What is wrong with an option."""
    if not name:
        return at.problem(f"{value!r} belongs to no option", "write each requirement on a line of its own")
    if name in _VALUED and not value:
        return at.problem(f"{name} has no value", "write one behind it")
    if name in _TAKEN:
        return at.problem(f"{name} stands behind a requirement", "write it on a line of its own")
    why, cure = _VALUED.get(name) or _BARE.get(name) or ("", "")
    if not why:
        return at.problem(f"unknown option {name!r}; {nearest(name, _TAKEN)}", "correct the option")
    return at.problem(f"{name} {why}", cure or _by_name(value or ""))


_GIT = re.compile(r"(?:[\w.-]+(?:\[[^]]*\])?\s*@\s*)?git\+", re.IGNORECASE)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://|file:", re.IGNORECASE)
_PATH = re.compile(r"[.~]|[\w.+-]*[/\\]|\S+\.(whl|zip|tgz|tar\.[a-z0-9]+)(?=[\s;\[]|$)", re.IGNORECASE)


def _requirement(text: str, options: Sequence[tuple[str, str | None]], at: _Place) -> Iterator[Stated | ConfigError]:
    """What a line with a requirement says."""
    requirement = _parsed(text, at)
    hashes = [_hash(name, value, at) for name, value in options]
    wrong = [each for each in (requirement, *hashes) if isinstance(each, ConfigError)]
    yield from wrong
    if isinstance(requirement, Requirement) and not wrong:
        # One archive may be listed twice; digests are compared as they stand in pins.
        digests = dict.fromkeys(each for each in hashes if isinstance(each, str))
        yield Stated(requirement=requirement, hashes=tuple(digests), place=at.place)


def _parsed(text: str, at: _Place) -> Requirement | ConfigError:
    # Addresses may have passwords in them, so none is repeated.
    if _URL.match(text):
        return at.problem("this is a URL", _by_name(text))
    if _PATH.match(text):
        return at.problem("this is a path", _by_name(text))
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        return at.problem(f"{text[:200]!r} is no requirement (PEP 508): {_explained(error)}", "correct this line")
    if requirement.url is not None:
        return at.problem(f"{requirement.name} is required by URL", f'{_SPEC} "git" or "url", and leave the URL out')
    if at.constraints and requirement.extras:
        return at.problem(
            f"a constraint has no extras, here {', '.join(sorted(requirement.extras))}",
            f"write {requirement.name} without them, and the extras where it is required",
        )
    return requirement


def _by_name(text: str) -> str:
    """What to do in place of requiring a repository, a URL or a path."""
    if _GIT.match(text):
        source = '"git", its url and its tag or commit'
    else:
        source = '"git" or "url"' if _URL.match(text) else '"path"'
    return f"{_SPEC} {source}, and require the package by name"


def _explained(error: InvalidRequirement) -> str:
    """The words of packaging, and the place that it points to in the two lines below them."""
    words, *pointed = str(error).splitlines()
    words = words[:1].lower() + words[1:]
    return f"{words}, at its character {pointed[-1].index('^') - 3}" if pointed and "^" in pointed[-1] else words


def _hash(name: str, value: str | None, at: _Place) -> str | ConfigError:
    """The sha256 of an option that stands behind a requirement."""
    if name != "--hash" or not value:
        return _refused(name, value, at)
    algorithm, _, digest = value.partition(":")
    if algorithm != "sha256":
        what = f"archives are known by their sha256, not by {algorithm[:80]!r}"
        return at.problem(what, "write --hash=sha256: and what 'pip hash FILE' prints")
    if not is_hex(digest.lower(), 64):
        return at.problem(f"{digest[:200]!r} is no sha256", "write 64 hexadecimal digits")
    return digest.lower()
