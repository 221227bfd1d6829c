"""The content-addressed store: what is in it has the digest it is filed under; what turns out not to is set aside."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from pybuilder.events import Damaged, Listener, ignore
from pybuilder.files import atomic_dir, disk_errors, file_lock, sha256_file
from pybuilder.layout import Layout
from pybuilder.usage import use


@dataclass(frozen=True, slots=True)
class Store:
    """Sources, RPMs and payloads by sha256; each is a directory that holds one file under its own name.

    Whatever is found is marked as used now (see ``usage``). ``source`` and its like only look whether something is
    there; ``sound_source`` and its like read all of it, and set it aside where it is damaged, so that it is missing
    from then on, and is fetched or built again.

    Attributes:
        layout: Where it lies.
        listen: Told of what is set aside.
    """

    layout: Layout
    listen: Listener = ignore

    def source(self, sha256: str) -> Path | None:
        """The stored source archive with this digest, or None."""
        return self._find(self.layout.source(sha256))

    def payload(self, sha256: str) -> Path | None:
        """The stored payload wheel with this digest, or None."""
        return self._find(self.layout.payload(sha256))

    def rpm(self, sha256: str) -> Path | None:
        """The stored RPM with this digest, or None."""
        return self._find(self.layout.rpm(sha256))

    def sound_source(self, sha256: str) -> Path | None:
        """The same, just read through: it has the digest it is filed under."""
        return self._sound(self.layout.source(sha256))

    def sound_payload(self, sha256: str) -> Path | None:
        """The same, just read through: it has the digest it is filed under."""
        return self._sound(self.layout.payload(sha256))

    def sound_rpm(self, sha256: str) -> Path | None:
        """The same, just read through: it has the digest it is filed under."""
        return self._sound(self.layout.rpm(sha256))

    def add_source(self, file: Path, *, sha256: str, name: str) -> Path:
        """Move a verified file (on the same file system) into the store.

        Args:
            file: The file; it is gone afterwards.
            sha256: Its digest, which the caller has computed from these bytes.
            name: The name it is kept under, such as ``six-1.17.0.tar.gz``.
        """
        return self._add(self.layout.source(sha256), file, name)

    def add_payload(self, file: Path, *, sha256: str, name: str) -> Path:
        """Move a payload wheel into the store, as ``add_source`` does."""
        return self._add(self.layout.payload(sha256), file, name)

    def add_rpm(self, file: Path, *, sha256: str, name: str) -> Path:
        """Move a verified RPM into the store, as ``add_source`` does."""
        return self._add(self.layout.rpm(sha256), file, name)

    def _find(self, directory: Path) -> Path | None:
        return _only_file(directory) if use(self.layout, directory) else None

    def _sound(self, directory: Path) -> Path | None:
        if self._is_sound(directory, file := self._find(directory)):
            return file
        # Who waited must not set aside what has been fetched again meanwhile.
        with file_lock(self.layout.lock(f"damaged-{directory.name}")):
            if self._is_sound(directory, file := self._find(directory)):
                return file
            kept = self.layout.damaged / f"{directory.parent.name}-{directory.name}-{secrets.token_hex(4)}"
            with disk_errors(kept):
                kept.parent.mkdir(exist_ok=True)
                directory.rename(kept)
        what = f"{directory.parent.name}/{directory.name}"
        self.listen(Damaged(what=what, file=str(kept / file.name if file else kept)))
        return None

    def _is_sound(self, directory: Path, file: Path | None) -> bool:
        """Whether a file has the digest of its directory; what isn't there at all has nothing wrong with it."""
        if file is None:
            # Trees of a payload whose file has gone would be in the way of what is added.
            return not list(directory.glob("*")) or _only_file(directory) is not None
        with disk_errors(file):
            return sha256_file(file) == directory.name

    def _add(self, directory: Path, file: Path, name: str) -> Path:
        # What is there already stays, so it must be sound.
        if stored := self._sound(directory):
            file.unlink()
            return stored
        # Whoever makes it, we or somebody quicker, it is new, which counts as used.
        with disk_errors(directory), atomic_dir(directory) as fresh:
            target = fresh / name
            file.replace(target)
            target.chmod(0o644)
            with target.open("rb") as stream:
                os.fsync(stream.fileno())
        stored = _only_file(directory)
        assert stored is not None, directory
        return stored


def _only_file(directory: Path) -> Path | None:
    try:
        with os.scandir(directory) as entries:
            return next((Path(entry.path) for entry in entries if entry.is_file()), None)
    except FileNotFoundError:
        return None
