"""Requirements and constraints files as they lie on disk, with all the files that they name."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pybuilder.errors import ConfigError
from pybuilder.requirements_file import Include, Stated, parse_requirements


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What some files ask for together.

    Attributes:
        requirements: What is wanted, in the order it stands; a file that another names stands where it is named.
        constraints: What limits the versions of whatever is wanted.
    """

    requirements: tuple[Stated, ...]
    constraints: tuple[Stated, ...]


def read_requirements(requirements: Iterable[Path], constraints: Iterable[Path] = ()) -> Asked:
    """Read files, and those that they name: relative to the file with the line, and each once.

    Args:
        requirements: Requirements files.
        constraints: Constraints files.

    Raises:
        ConfigError: Lists everything that is wrong with any of them: a line that can't be taken, a file that is not
            there or is no text, files that name each other in a circle.
    """
    reading = _Reading()
    for path in requirements:
        reading.follow(path, constraints=False)
    for path in constraints:
        reading.follow(path, constraints=True)
    if problems := reading.problems:
        raise ConfigError.of(problems, what=f"the files have {len(problems)} problems")
    return Asked(requirements=tuple(reading.stated[False]), constraints=tuple(reading.stated[True]))


@dataclass(kw_only=True, slots=True)
class _Reading:
    """What has been read so far; requirements and constraints are told apart by whether they are constraints."""

    stated: dict[bool, list[Stated]] = field(default_factory=lambda: {False: [], True: []})
    problems: list[ConfigError] = field(default_factory=list)
    seen: set[tuple[str, bool]] = field(default_factory=set)

    def follow(self, path: Path, *, constraints: bool, place: str = "", above: tuple[Path, ...] = ()) -> None:
        """Read a file and all that it names.

        Args:
            path: The file.
            constraints: Whether it only limits versions.
            place: The line that names it.
            above: The files that led here, the outermost first.
        """
        real = os.path.realpath(path)
        circle = [os.path.realpath(each) for each in above]
        if real in circle:
            names = " -> ".join(map(str, (*above[circle.index(real) :], path)))
            self.problems.append(ConfigError(f"a file names itself: {names}", where=place, cure="take this line out"))
            return
        if (real, constraints) in self.seen:
            return
        self.seen.add((real, constraints))
        try:
            lines = parse_requirements(_text(path, place), str(path), constraints=constraints).lines
        except ConfigError as error:
            self.problems += error.parts or [error]
            return
        for line in lines:
            if isinstance(line, Include):
                below = path.parent / line.file
                self.follow(below, constraints=line.constraints, place=line.place, above=(*above, path))
            else:
                self.stated[constraints].append(line)


# Windows shells write UTF-16, with its mark, where output goes into a file.
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def _text(path: Path, place: str) -> str:
    try:
        data = path.read_bytes()
        return data.decode(_MARKS.get(data[:2], "utf-8"))
    except FileNotFoundError as error:
        cure = "correct the path; it is relative to the file with this line" if place else "correct the path"
        raise ConfigError(f"there is no file {path}", where=place, cure=cure) from error
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}", where=place, cure="name a text file") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError("this is not UTF-8", where=f"{path}:{line}", cure="save the file as UTF-8") from error
