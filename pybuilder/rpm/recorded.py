"""The lock that a recorded plan was made with, as far as the plan tells: its root's RPMs, by name, EVRA and digest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError as ModelError

from pybuilder.buildroot import Repository
from pybuilder.errors import FetchError, ValidationError
from pybuilder.files import file_lock
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.lockfile import Lock, Rpm
from pybuilder.plan import Plan
from pybuilder.rpm.packages import archive_url
from pybuilder.rpm.roots import root_digest
from pybuilder.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Archive:
    """Where RPMs are that no lock names any more.

    Attributes:
        layout: Where unfinished downloads lie.
        store: Looked into first; what is fetched goes there.
        client: Fetches.
        repositories: The repositories by name, with the URLs of their archives.
    """

    layout: Layout
    store: Store
    client: Client
    repositories: Mapping[str, Repository]

    def bring(self, rpm: Rpm) -> bool:
        """Whether an RPM is in the store, fetched from the archive of its repository if need be.

        Raises:
            ConfigError: The archive's URL is no template.
        """
        with file_lock(self.layout.lock(f"rpm-{rpm.sha256}")):
            if self.store.rpm(rpm.sha256) is None:
                repository = self.repositories.get(rpm.repository)
                if repository is None or not repository.archive or not rpm.source:
                    return False
                part = self.layout.downloads / f"{rpm.sha256}.rpm"
                with suppress(FetchError):
                    self.client.download(archive_url(repository.archive, rpm), part, sha256=rpm.sha256)
                    self.store.add_rpm(part, sha256=rpm.sha256, name=rpm.file)
            return self.store.rpm(rpm.sha256) is not None


def recorded_lock(plan: Plan, *, known: Lock | None, archive: Archive) -> Lock:
    """A lock of the RPMs of a plan's root. It answers no requests; a root of exactly these can be made with it.

    Args:
        plan: The plan.
        known: The lock of today, which says where those are that it still has.
        archive: Where the others are.

    Raises:
        ValidationError: The plan has what no lock can have, or RPMs that are not those of its root.
        FetchError: Some RPMs can't be had; names each with its digest.
    """
    try:
        rpms = {entry["name"]: _rpm(entry, known, archive.store) for entry in plan.root.contents["rpms"]}
        sound = plan.root.digest == root_digest(rpms.values(), plan.recipe.root_macros)
        sound = sound and set(plan.root.contents["base"]) <= rpms.keys()
    except (ModelError, KeyError, TypeError, AttributeError) as error:
        raise ValidationError(f"the plan's root is not one that a lock can have: {error!r}") from error
    if not sound:
        raise ValidationError("the RPMs of the plan are not those of its root")
    if not archive.layout.root_of(plan.root.digest).is_dir():
        lacking = [f"{rpm.nevra}, sha256 {rpm.sha256}" for rpm in _unlocked(rpms, known) if not archive.bring(rpm)]
        if lacking:
            raise FetchError(
                f"these RPMs of the plan's root can't be had: {'; '.join(lacking)}",
                cure="name an archive that has them in the buildroot's definition: [repositories.NAME] archive",
            )
        # Those that were just fetched have a size.
        rpms = {entry["name"]: _rpm(entry, known, archive.store) for entry in plan.root.contents["rpms"]}
    name = known.buildroot if known else ""
    return Lock(buildroot=name, arch=known.arch if known else "", repositories={}, answers={}, rpms=rpms)


def _unlocked(rpms: Mapping[str, Rpm], known: Lock | None) -> Iterator[Rpm]:
    """The RPMs that are not in the lock of today, which is where all others can be had by."""
    there = {rpm.sha256 for rpm in known.rpms.values()} if known else set()
    yield from (rpm for rpm in rpms.values() if rpm.sha256 not in there)


def _rpm(entry: Mapping[str, Any], known: Lock | None, store: Store) -> Rpm:
    locked = known.rpms.get(entry["name"]) if known else None
    if locked and locked.sha256 == entry["sha256"]:
        return locked
    rpm = Rpm.model_validate(
        {**entry, "size": 0, "location": f"{entry['name']}-{entry['evra'].rpartition(':')[2]}.rpm", "requires": ()}
    )
    stored = store.rpm(rpm.sha256)
    return rpm.model_copy(update={"size": stored.stat().st_size}) if stored else rpm
