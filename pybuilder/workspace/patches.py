"""The patch files of a package: those that a version wants, each where it belongs, with its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

from pybuilder.errors import ConfigError

if TYPE_CHECKING:
    from pybuilder.spec import EffectiveSpec, PatchEntry, Spec
    from pybuilder.toml_places import KeyPath


@dataclass(frozen=True, kw_only=True, slots=True)
class Patch:
    """One patch file.

    Attributes:
        file: Its name below ``patches/<name>/``.
        path: Where it is.
        sha256: The digest of its bytes, which enters the key.
    """

    file: str
    path: Path
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchFiles:
    """The patch files of one package.

    Attributes:
        root: The workspace's directory.
        name: The package.
        proposed: As in ``Workspace``.
        spec: Its spec as it is written, asked where a patch that it lists can't be had.
    """

    root: Path
    name: str
    proposed: Mapping[str, Path]
    spec: Callable[[], Spec | None]

    def of(self, version: Version, spec: EffectiveSpec) -> tuple[Patch, ...]:
        """As ``Workspace.patches``."""
        if spec.patches is None:
            found = (self.root / "patches" / self.name).glob("*.patch")
            files = sorted(path.name for path in found if not path.name.startswith("."))
        else:
            files = [p.file for p in spec.patches if p.versions.contains(version, prereleases=True)]
        return tuple(self._patch(file, listed=spec.patches is not None) for file in files)

    def _patch(self, file: str, *, listed: bool) -> Patch:
        below = f"patches/{self.name}/{file}"
        if (proposed := self.proposed.get(below)) is not None:
            return _read(file, proposed)
        path = self.root / below
        real = path.resolve()
        # Compared with the directory as it would be without links, so that no link on the way leads out.
        home = self.root.resolve() / "patches" / self.name
        if real.is_relative_to(home) and real.is_file():
            return _read(file, path)
        where = self._place(file) if listed else below
        if not real.is_relative_to(home):
            raise ConfigError(
                f"the patch {file!r} leads out of patches/{self.name}", where=where, cure="put the file itself there"
            )
        raise ConfigError(f"there is no file {below}", where=where, cure="add the file or correct the spec")

    def _place(self, file: str) -> str:
        """Where the spec lists a patch."""
        spec = self.spec()
        if spec is None:
            return f"specs/{self.name}.toml"
        listings: list[tuple[KeyPath, tuple[PatchEntry, ...] | None]] = [(("patches",), spec.patches)]
        listings += [(("override", index, "patches"), over.patches) for index, over in enumerate(spec.override)]
        for path, entries in listings:
            for index, entry in enumerate(entries or ()):
                if entry.file == file:
                    return spec.document.place((*path, index, "file"))
        return spec.document.place(())


def _read(file: str, path: Path) -> Patch:
    return Patch(file=file, path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
