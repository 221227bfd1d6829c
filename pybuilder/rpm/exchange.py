"""Between our locks and those of other tools: which of their RPMs are still to be had, and what they ask of ours."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from pybuilder.errors import FetchError
from pybuilder.lock_exchange import Export, Listed
from pybuilder.lockfile import Lock, Rpm
from pybuilder.rpm.packages import CONNECTIONS, Fetcher
from pybuilder.rpm.solve import Universe

# Tag numbers of rpm's own (rpmtag.h); the second is the signature header's.
_EPOCH = 1003
_SIGMD5 = 1004


def still_there(
    listed: Collection[Listed], universe: Universe, fetcher: Fetcher, report: Callable[[str], None]
) -> dict[str, Rpm]:
    """Those of the RPMs of another tool's lock that can be had, by name.

    An RPM that no repository lists any more is fetched from where the other tool had it, if its digest is known.

    Args:
        listed: The RPMs.
        universe: What the repositories list.
        fetcher: Fetches the others.
        report: Told which RPMs can't be had.

    Raises:
        FetchError: A repository has another file of the same version, or what was fetched is another RPM.
    """
    found = {each.name: rpm for each in listed if (rpm := universe.find(each, each.place))}
    rest = [each for each in listed if each.name not in found]
    found |= {rpm.name: rpm for rpm in _fetched(rest, fetcher)}
    if lost := [f"{each.name}-{each.evra}" for each in rest if each.name not in found]:
        report(f"{len(lost)} of {len(listed)} RPMs can't be had any more, others stand in: {', '.join(sorted(lost))}")
    return found


def _fetched(listed: Collection[Listed], fetcher: Fetcher) -> Iterator[Rpm]:
    known = [each for each in listed if each.sha256 and each.repository in fetcher.repositories]
    fetcher = replace(fetcher, elsewhere={each.sha256: each.url for each in known})
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        yield from filter(None, pool.map(lambda each: _fetch(each, fetcher), known))


def _fetch(listed: Listed, fetcher: Fetcher) -> Rpm | None:
    rpm = _rpm(listed)
    try:
        file = fetcher.fetch(rpm)
    except FetchError:
        return None
    if _nevra(file) != rpm.nevra:
        raise FetchError(
            f"the file that {rpm.nevra} should be is another RPM, or none",
            where=f"{listed.place}: {listed.url}",
            cure="find out who wrote this file; take the RPM out of it to have the repository's",
        )
    return rpm


def _nevra(file: Path) -> str:
    """What an RPM says it is; empty where the file is none."""
    import rpm_rs

    try:
        header = rpm_rs.PackageMetadata.open(str(file))
    except (OSError, RuntimeError, ValueError):
        return ""
    epoch = f"{header.epoch}:" if header.header.entry_is_present(_EPOCH) and header.epoch else ""
    return f"{header.name}-{epoch}{header.version}-{header.release}.{header.arch}"


def _rpm(listed: Listed) -> Rpm:
    return Rpm(
        name=listed.name,
        evra=listed.evra,
        sha256=listed.sha256,
        size=listed.size,
        repository=listed.repository,
        # Where it lay on the mirrors is not known; archives ask for the file's name alone.
        location=listed.file,
        source=listed.source,
        key="",
        requires=(),
    )


def exports(lock: Lock, gone: Collection[str], fetcher: Fetcher) -> tuple[Export, ...]:
    """What other tools want to know of the RPMs of a lock.

    Args:
        lock: The lock.
        gone: By sha256, those that no repository lists any more.
        fetcher: Its store has the RPMs.

    Raises:
        FetchError: An RPM is not in the store and can't be had.
    """
    files = fetcher.fetch_all(lock.rpms.values())
    return tuple(_export(rpm, files[rpm.sha256], _url(rpm, gone, fetcher)) for rpm in lock.rpms.values())


def _url(rpm: Rpm, gone: Collection[str], fetcher: Fetcher) -> str:
    """The first mirror's, or the archive's where no repository lists it any more."""
    urls = fetcher.urls(rpm)
    return urls[-1] if rpm.sha256 in gone else urls[0]


def _export(rpm: Rpm, file: Path, url: str) -> Export:
    import rpm_rs

    header = rpm_rs.PackageMetadata.open(str(file))
    signed = header.signature
    sigmd5 = signed.entry(_SIGMD5).hex() if signed.entry_is_present(_SIGMD5) else "(none)"
    return Export(rpm=rpm, url=url, license=header.license, sigmd5=sigmd5)
