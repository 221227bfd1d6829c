"""The screening of each source, as the state remembers it for records and for whoever asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from packaging.version import Version

from pybuilder.printable import printable
from pybuilder.state import State

_FACT = "screened"


def remember(state: State, name: str, version: str, sha256: str, account: Mapping[str, Any]) -> None:
    """Remember what the last screening of a version came to, whether it was let through or not.

    Args:
        state: The database.
        name: Normalised.
        version: Upstream's.
        sha256: Its source's digest.
        account: As ``policy.judge`` gives it.
    """
    if state.fact(_FACT, _key(name, version, sha256)) != account:
        state.add_fact(_FACT, _key(name, version, sha256), account)


def remembered(state: State, name: str, version: str, sha256: str) -> dict[str, Any] | None:
    """What was remembered; None of a source that was never screened."""
    account: dict[str, Any] | None = state.fact(_FACT, _key(name, version, sha256))
    return account


def all_remembered(state: State, name: str) -> list[dict[str, Any]]:
    """The screening of each source of a package, with its ``version`` and ``sha256``, the newest version first."""
    found = []
    for key, account in state.facts(_FACT, f"{name}==").items():
        version, _, sha256 = key.removeprefix(f"{name}==").rpartition(" ")
        found.append({"version": version, "sha256": sha256, **account})
    return sorted(found, key=lambda each: (Version(each["version"]), each["sha256"]), reverse=True)


def found_lines(account: Mapping[str, Any] | None) -> Iterator[str]:
    """An account as lines for people, all of what was found; none where that was nothing, or where there is no account.

    Args:
        account: As records have it.
    """
    if account is None:
        return
    for file in account["files"]:
        note = f", not all of it was looked at: {file['note']}" if file["note"] else ""
        yield f"{file['format']} {file['path']}  sha256 {file['sha256']}{note}{_accepted(file)}"
    for kind, count in sorted(account["unlisted"].items()):
        yield f"{count} more that are of kind {kind}"
    for each in account["advisories"]:
        mended = f", fixed in {', '.join(each['fixed'])}" if each["fixed"] else ""
        yield f"{' '.join([each['id'], *each['aliases']])}  {each['summary']}{mended}{_accepted(each)}"


def _accepted(each: Mapping[str, Any]) -> str:
    return f", accepted: {printable(each['accepted'])}" if each["accepted"] else ""


def _key(name: str, version: str, sha256: str) -> str:
    return f"{name}=={version} {sha256}"
