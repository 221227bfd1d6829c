"""What a recorded plan names by digest: what is not in the store is fetched from indexes, by that digest alone."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from pybuilder.errors import BuildError, FetchError, ValidationError
from pybuilder.files import disk_errors, sha256_file
from pybuilder.index.pages import File
from pybuilder.index.reader import Reader
from pybuilder.layout import Layout
from pybuilder.names import any_number
from pybuilder.plan import Ingredient
from pybuilder.recorded import Numbered, Recorded, listed, read_numbered
from pybuilder.store import Store
from pybuilder.work import work_directory


@dataclass(frozen=True, kw_only=True, slots=True)
class Supplies:
    """Where sources and payloads may be had.

    Attributes:
        layout: Where work is done.
        store: Looked into first; what is fetched goes there.
        readers: The indexes, in the order in which they are asked.
    """

    layout: Layout
    store: Store
    readers: Sequence[Reader]

    def bring(self, recorded: Recorded) -> tuple[str, ...]:
        """Bring the source and the payloads that a plan names into the store.

        Returns:
            What was not there and has been fetched, in words.

        Raises:
            FetchError: Some of it can't be had; each thing is named with its digest.
        """
        fetched: list[str] = []
        lacking: list[str] = []
        source = recorded.account.record["source"]
        if self.store.sound_source(source["sha256"]) is None:
            there = self._fetch_source(recorded.wheel, source["sha256"], source["file"])
            (fetched if there else lacking).append(f"the source {source['file']}, sha256 {source['sha256']}")
        for each in recorded.plan.environment:
            if self.store.sound_payload(each.payload) is None:
                there = self._fetch_payload(each)
                (fetched if there else lacking).append(
                    f"the payload of {each.name} {each.version}, sha256 {each.payload}"
                )
        if lacking:
            came = f"; the source came from {source['origin']}" if source["origin"] else ""
            raise FetchError(
                f"{recorded.wheel.filename} can't be built again, since this can't be had: {'; '.join(lacking)}",
                where=", ".join(dict.fromkeys(reader.where for reader in self.readers)),
                cure=f"name the wheel in an index that has all of this{came}",
            )
        return tuple(fetched)

    def _fetch_source(self, wheel: Numbered, sha256: str, name: str) -> bool:
        for reader in self.readers:
            for file in listed(reader, wheel.name, tree="sources/"):
                if file.sha256 == sha256:
                    found = reader.file(f"sources/files/{file.filename}")
                    if found is not None and sha256_file(found) == sha256:
                        with self._scratch() as scratch:
                            copy = Path(shutil.copyfile(found, scratch / "source"))
                            self.store.add_source(copy, sha256=sha256, name=name)
                        return True
        return False

    def _fetch_payload(self, ingredient: Ingredient) -> bool:
        """Make a payload again of a wheel that it was published as, under whatever number."""
        for reader, file in self._published(ingredient):
            found = reader.file(f"files/{file.filename}")
            # A wheel that an index has lost, or that is damaged there, may be whole elsewhere.
            if found is None or sha256_file(found) != file.sha256:
                continue
            with suppress(BuildError, ValidationError), self._scratch() as scratch:
                wheel = read_numbered(found, scratch)
                if wheel.payload_sha256 == ingredient.payload:
                    self.store.add_payload(wheel.payload, sha256=wheel.payload_sha256, name=wheel.payload.name)
                    return True
        return False

    def _published(self, ingredient: Ingredient) -> Iterator[tuple[Reader, File]]:
        """The wheels of a version that indexes list, the newest number first."""
        for reader in self.readers:
            for file in reversed(listed(reader, canonicalize_name(ingredient.name))):
                split = any_number(Version(file.version))
                if file.filename.endswith(".whl") and split and split[0] == Version(ingredient.version):
                    yield reader, file

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        with work_directory(self.layout, f"supplies-{secrets.token_hex(4)}") as scratch, disk_errors(scratch):
            yield scratch
