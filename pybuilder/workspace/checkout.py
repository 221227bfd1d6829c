"""What git says about a workspace."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pybuilder.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from pybuilder.processes import Completed

Run = Callable[..., "Completed"]
"""The shape of ``processes.run``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """Which state of a workspace something was made of.

    Attributes:
        commit: The commit that was checked out; empty where there is none, or git can't tell.
        state: ``clean`` where that has all that was read, ``dirty`` where it has not, ``unversioned`` without a commit.
    """

    commit: str
    state: str


_ELSEWHERE = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkout:
    """A working tree.

    Attributes:
        root: The workspace, which may be a directory below the repository's top.
        run: Runs git.
    """

    root: Path
    run: Run

    def commit_id(self) -> str | None:
        """The commit that is checked out, or None where there is none or git can't tell."""
        out = self._git("rev-parse", "--verify", "HEAD^{commit}")
        return None if out is None else out.decode().strip()

    def author(self) -> str:
        """The name of who would commit, as far as git knows."""
        out = self._git("var", "GIT_AUTHOR_IDENT")
        return "" if out is None else out.decode(errors="replace").partition(" <")[0]

    def revision(self, paths: Iterable[Path], *, trees: Iterable[Path], tracked: Iterable[Path]) -> Revision:
        """The commit, and whether it has all that a plan read.

        Args:
            paths: Files.
            trees: Directories that were read as a whole, but for what git ignores.
            tracked: Directories that were looked through for files; from there, one may be gone.
        """
        from pybuilder.provenance import CLEAN, DIRTY, UNVERSIONED

        commit = self.commit_id()
        if commit is None:
            return Revision(commit="", state=UNVERSIONED)
        changed = (
            self._changed(paths, "all", "--ignored") or self._changed(trees, "all") or self._changed(tracked, "no")
        )
        return Revision(commit=commit, state=DIRTY if changed else CLEAN)

    def dirty(self, paths: Iterable[Path]) -> bool:
        """Whether files have changes that are not committed; pins that were added to specs do not count.

        Args:
            paths: The files that a plan read.

        Returns:
            True as well where git can't tell.
        """
        named = list(paths)
        return bool(named) and (self.commit_id() is None or self._changed(named, "all", "--ignored"))

    def changed_files(self) -> tuple[str, ...]:
        """The files below the workspace that git knows and that differ from the commit, sorted; added pins are none."""
        out = self._git("status", "--porcelain", "-z", "--untracked-files=no", "--no-renames", "--", ".") or b""
        entries = [entry for entry in out.decode(errors="surrogateescape").split("\0") if entry]
        return tuple(sorted(entry[3:] for entry in entries if not self._pins_only(entry)))

    def _changed(self, paths: Iterable[Path], unknown: str, *options: str) -> bool:
        """Whether ``git status`` tells of anything but pins.

        Args:
            paths: What it is asked about.
            unknown: Which of the files count that git doesn't know: ``all`` or ``no``.
            options: For files that it is told to ignore.
        """
        names = [os.path.relpath(path, self.root) for path in paths]
        if not names:
            return False
        out = self._git(
            "status", "--porcelain", "-z", f"--untracked-files={unknown}", "--no-renames", *options, "--", *names
        )
        if out is None:
            return True
        return any(not self._pins_only(entry) for entry in out.decode(errors="surrogateescape").split("\0") if entry)

    def _pins_only(self, entry: str) -> bool:
        """Whether a line of ``git status`` is a spec that only has gained pins since the commit."""
        prefix = self._git("rev-parse", "--show-prefix")
        if prefix is None or not set(entry[:2]) <= {" ", "M"}:
            return False
        file = entry[3:].removeprefix(prefix.decode().strip())
        before = self._git("show", f"HEAD:./{file}") if re.fullmatch(r"specs/[^/]+\.toml", file) else None
        return before is not None and _gained_pins_only(before, (self.root / file).read_bytes(), file)

    def _git(self, *arguments: str) -> bytes | None:
        # No optional locks: looking must not write.
        environment = own_environment() | {"GIT_OPTIONAL_LOCKS": "0", "GIT_LITERAL_PATHSPECS": "1", "LC_ALL": "C"}
        try:
            done = self.run(
                ["git", "-c", "core.fsmonitor=false", *arguments], cwd=self.root, env=environment, timeout=60
            )
        except EngineError:
            return None
        return done.stdout if done.returncode == 0 else None


def own_environment() -> dict[str, str]:
    """Our environment, without the variables by which a hook that runs us points at its own repository."""
    return {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}


def _gained_pins_only(before: bytes, after: bytes, file: str) -> bool:
    from pybuilder.toml import parse

    try:
        old, new = (parse(data.decode(), file).data for data in (before, after))
    except (ConfigError, UnicodeDecodeError):
        return False
    old_pins, new_pins = old.pop("versions", {}), new.pop("versions", {})
    return old == new and all(_is_still_pinned(pin, new_pins.get(version)) for version, pin in old_pins.items())


def _is_still_pinned(old: Mapping[str, str], new: Mapping[str, str] | None) -> bool:
    """Whether a pin is as it was, or has been replaced by pybuild: a source by a wheel, or the other way."""
    if new is None:
        return False
    wheels = [str(pin.get("file", "")).endswith(".whl") for pin in (old, new)]
    return old == new or wheels[0] != wheels[1]
