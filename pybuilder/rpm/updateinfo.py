"""What a repository says of security: which versions of its RPMs its advisories name (updateinfo.xml)."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from pybuilder.errors import FetchError
from pybuilder.evr import compare_evr, without_arch
from pybuilder.lockfile import SECURITY_NOTE, Rpm


class Advised(NamedTuple):
    """A version that a security advisory names: what was older has the fault.

    Attributes:
        name: The RPM.
        evr: ``[EPOCH:]VERSION-RELEASE``.
        advisory: The advisory's id, such as ``FEDORA-2026-0123456789``.
    """

    name: str
    evr: str
    advisory: str


def read_updateinfo(file: Path, names: Collection[str], where: str) -> tuple[Advised, ...]:
    """The versions of some RPMs that the security advisories of a repository name.

    Args:
        file: Its updateinfo.xml, unpacked.
        names: The RPMs.
        where: Where that came from, for messages.

    Raises:
        FetchError: It is none.
    """
    found: dict[Advised, None] = {}
    try:
        # A year of a distribution is a hundred megabytes as a tree.
        for _, node in ET.iterparse(file):
            if node.tag == "update":
                found |= dict.fromkeys(_advised(node, names))
                node.clear()
    except ET.ParseError as error:
        raise FetchError(f"this is no updateinfo.xml: {error}", where=where) from error
    return tuple(found)


def _advised(update: ET.Element, names: Collection[str]) -> Iterable[Advised]:
    advisory = (update.findtext("id") or "").strip()
    if update.get("type") != "security":
        return
    for package in update.iter("package"):
        name, version, release = (package.get(key, "") for key in ("name", "version", "release"))
        epoch = package.get("epoch") or "0"
        evr = f"{'' if epoch == '0' else f'{epoch}:'}{version}-{release}"
        if name in names and SECURITY_NOTE.fullmatch(f"{evr} {advisory}"):
            yield Advised(name, evr, advisory)


def newest_advisory(rpm: Rpm, old: Rpm | None, advised: Iterable[Advised]) -> str:
    """What a lock says of the security of an RPM: the newest advisory up to its version, ``EVR ID``; or nothing.

    One is enough: whatever was built with an older version than it names lacks a fix. It is taken over from the last
    lock where the repository has dropped it since, as Fedora's do when a newer update comes.

    Args:
        rpm: The RPM.
        old: The RPM of the same name in the last lock.
        advised: What the repositories' advisories name of it.
    """
    known = [(each.evr, each.advisory) for each in advised]
    if old and old.security:
        evr, advisory = old.security.split()
        known.append((evr, advisory))
    best: tuple[str, str] | None = None
    for evr, advisory in sorted(known):
        reached = compare_evr(evr, without_arch(rpm.evra)) <= 0
        if reached and (best is None or compare_evr(evr, best[0]) > 0):
            best = evr, advisory
    return " ".join(best) if best else ""


def by_name(advised: Iterable[Advised]) -> Mapping[str, tuple[Advised, ...]]:
    """The same, by the RPM's name."""
    found: dict[str, list[Advised]] = {}
    for each in advised:
        found.setdefault(each.name, []).append(each)
    return {name: tuple(several) for name, several in found.items()}
