"""RPM files: fetched from mirrors or the archive, into the store once, and their signatures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pybuilder import interruption
from pybuilder.buildroot import Repository
from pybuilder.errors import ConfigError, FetchError
from pybuilder.files import CHUNK, file_lock
from pybuilder.http import ATTEMPTS, Client
from pybuilder.layout import Layout
from pybuilder.lockfile import Rpm
from pybuilder.rpm.repositories import Found, in_turn
from pybuilder.store import Store

CONNECTIONS = 8
# An RPM that one mirror dropped, the others have dropped as well; Fedora's metalinks list a hundred of them.
_MIRRORS = 3
_ATTEMPTS_BEFORE_THE_LAST = 2
# Tag numbers of rpm's own (rpmtag.h).
_PAYLOAD_SHA256 = 5092


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetcher:
    """Gets RPM files into the store.

    Attributes:
        layout: Where unfinished downloads lie.
        store: Where finished ones go.
        client: Fetches.
        repositories: The repositories by name.
        elsewhere: By sha256, where RPMs are that no repository lists; the mirrors are not asked for them.
    """

    layout: Layout
    store: Store
    client: Client
    repositories: Mapping[str, Found]
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def fetch_all(self, rpms: Iterable[Rpm]) -> dict[str, Path]:
        """The files of RPMs by sha256, several fetched at a time.

        Raises:
            FetchError: Some can't be had.
        """
        rpms = tuple(rpms)
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            files = pool.map(interruption.carried(self.fetch), rpms)
            return {rpm.sha256: file for rpm, file in zip(rpms, files, strict=True)}

    def fetch(self, rpm: Rpm) -> Path:
        """The file of one RPM: from the store, else from one of the first mirrors, else from the repository's archive.

        Raises:
            FetchError: Nobody has it any more, or what they have is another file.
        """
        if known := self.store.rpm(rpm.sha256):
            return known
        with file_lock(self.layout.lock(f"rpm-{rpm.sha256}")):
            # Somebody else may have fetched it while we waited.
            return self.store.rpm(rpm.sha256) or self._fetch(rpm)

    def _fetch(self, rpm: Rpm) -> Path:
        part = self.layout.downloads / f"{rpm.sha256}.rpm"
        urls = self.urls(rpm)

        def download(url: str) -> Path:
            attempts = ATTEMPTS if url == urls[-1] else _ATTEMPTS_BEFORE_THE_LAST
            self.client.download(url, part, sha256=rpm.sha256, size=rpm.size, attempts=attempts)
            return self.store.add_rpm(part, sha256=rpm.sha256, name=rpm.file)

        try:
            return in_turn(urls, download, f"the RPM {rpm.nevra} can't be had")
        except FetchError as error:
            cure = f"if it is gone for good, take another: pybuild buildroot lock --update {rpm.name}"
            raise FetchError(f"{rpm.nevra}: {error.what}", where=error.where, cure=cure) from error

    def urls(self, rpm: Rpm) -> list[str]:
        """Where an RPM may be, in the order of trying: the first mirrors, then the archive.

        Raises:
            FetchError: The definition has no repository of its repository's name.
            ConfigError: The archive's URL is no template.
        """
        found = self.repositories.get(rpm.repository)
        if found is None:
            raise FetchError(f"the definition has no repository {rpm.repository!r}", where=rpm.location)
        archive = found.definition.archive
        # Where nobody says who signed it, or of which source it is, it can't be found in an archive by these.
        known = rpm.source and (rpm.key or "{key}" not in archive)
        urls = [self.elsewhere[rpm.sha256]] if rpm.sha256 in self.elsewhere else []
        urls = urls or [mirror + rpm.location for mirror in found.mirrors[:_MIRRORS]]
        return [*urls, archive_url(archive, rpm)] if archive and known else urls


def archive_url(template: str, rpm: Rpm) -> str:
    """Where an archive of old RPMs has one; ``{version}`` and ``{release}`` are the source RPM's, as in Koji.

    Raises:
        ConfigError: The template has another placeholder.
    """
    source, version, release = rpm.source.removesuffix(".src.rpm").rsplit("-", 2)
    words = {"source": source, "version": version, "release": release, "arch": rpm.arch, "file": rpm.file}
    try:
        # Koji files signed RPMs under the last eight digits of the key's id.
        return template.format(**words, key=rpm.key[-8:])
    except (KeyError, IndexError, ValueError) as error:
        raise ConfigError(
            f"the archive's URL {template!r} is no template: {error}",
            where=f"[repositories.{rpm.repository}].archive",
            cure=f"use the placeholders {', '.join(f'{{{word}}}' for word in (*words, 'key'))}",
        ) from error


def verifier(name: str, repository: Repository, home: Path) -> Callable[[Path], str]:
    """What verifies that an RPM was signed by one of a repository's keys and has the payload that was signed.

    Args:
        name: The definition's name for the repository.
        repository: Its definition.
        home: The directory of the definition, below which its keys are.

    Returns:
        A function from a file to the id of the key: 16 hexadecimal digits; empty where the definition wants no check.
        It raises FetchError where the signature is missing, wrong, or by another key.

    Raises:
        ConfigError: A key can't be read.
    """
    if not repository.gpgcheck:
        return lambda file: ""
    keys = _keys(name, repository.gpgkey, home)
    return lambda file: _verify(file, name, keys)


def _keys(name: str, files: Sequence[str], home: Path) -> Any:
    import rpm_rs

    keys = rpm_rs.Verifier()
    for file in files:
        try:
            keys.load_from_asc_file(str(home / file))
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"the key {file!r} of the repository {name!r} can't be read: {error}",
                where=str(home / file),
                cure="put the repository's public key there, ASCII-armored",
            ) from error
    return keys


def _verify(file: Path, repository: str, keys: Any) -> str:
    import rpm_rs

    try:
        metadata = rpm_rs.PackageMetadata.open(str(file))
        report = metadata.check_signatures(keys)
        good = [each.info for each in report.signatures if each.is_verified()]
        digests = metadata.header.entry(_PAYLOAD_SHA256) or [""]
        payload = metadata.package_segment_offsets().payload
    except (OSError, RuntimeError, ValueError) as error:
        # rpm-rs quotes what it read, byte by byte.
        raise _untrusted(file, f"it can't be read: {str(error)[:80]}", repository) from error
    if not good or not report.is_ok():
        said = "; ".join(f"by {each.info.key_id or 'nobody known'}: {each.error}" for each in report.signatures)
        raise _untrusted(file, f"no signature of it holds ({said})" if said else "it is not signed", repository)
    # The signature is over the header alone; the header vouches for the rest.
    if _sha256_from(file, payload) != digests[0]:
        raise _untrusted(file, "its payload is not the one that was signed", repository)
    return str(good[0].key_id)


def _untrusted(file: Path, fault: str, repository: str) -> FetchError:
    cure = f"find out who made this RPM; the keys of {repository!r} are listed in the definition's gpgkey"
    return FetchError(
        f"the RPM {file.name} of {repository!r} is not to be trusted: {fault}", where=str(file), cure=cure
    )


def _sha256_from(file: Path, offset: int) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        stream.seek(offset)
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
