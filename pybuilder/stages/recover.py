"""Read a lost database back from what lies on disk: records say what was built, indexes say what was published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from pybuilder.clock import new_attempt_id, now, timestamp
from pybuilder.errors import BuildError, PybuildError, ValidationError
from pybuilder.files import file_lock
from pybuilder.layout import Layout
from pybuilder.names import any_number
from pybuilder.record import RECORD, read_record
from pybuilder.stages.taint import remember
from pybuilder.state import Attempt, PublishedWheel, State
from pybuilder.work import work_directory

if TYPE_CHECKING:
    from pybuilder.index import File

# The fact that a database has everything that was there before it.
_WHOLE = ("recovered", "")


def recover(layout: Layout, state: State) -> None:
    """Fill a new database from the store's records and the published indexes, as far as they go.

    Numbers that were handed out must never be handed out again, so whatever an index lists raises the floor, also
    where its record is gone. Who dies meanwhile leaves it to the next run, and who comes meanwhile waits.
    """
    if state.fact(*_WHOLE):
        return
    with file_lock(layout.lock("recover")):
        if not state.fact(*_WHOLE):
            _recover(layout, state)
            state.add_fact(*_WHOLE, True)


def _recover(layout: Layout, state: State) -> None:
    attempts: dict[str | None, list[Attempt]] = {}
    accounts = {str(account["attempt"]): account for account in _recorded(layout)}
    for _, account in sorted(accounts.items()):
        attempt = _attempt(account)
        remember(state, account)
        state.restore_attempt(attempt)
        attempts.setdefault(attempt.payload, []).append(attempt)
    for root in sorted(layout.indexes.iterdir()) if layout.indexes.is_dir() else ():
        # Imported here, since most databases are new where everything is.
        from pybuilder.index import Index

        index = Index.of(layout, root.name)
        for project in index.projects():
            for file in index.files(project):
                _restore_wheel(layout, state, root, project, file, attempts)


def _recorded(layout: Layout) -> Iterator[dict[str, Any]]:
    # Records are published as well; what made a published wheel must be known though the store's is damaged.
    for file in chain(layout.indexes.glob(f"*/records/*/*/{RECORD}"), layout.records("x").parent.glob(f"*/*/{RECORD}")):
        try:
            yield read_record(file.parent)
        except PybuildError:
            continue  # a damaged record proves nothing; the payload is built again when it is needed


def _attempt(account: Mapping[str, Any]) -> Attempt:
    result = account["result"]
    return Attempt(
        id=account["attempt"],
        key=account["key"],
        recipe=account["recipe"],
        name=account["name"],
        version=account["version"],
        channel=account["channel"],
        target=account["target"],
        engine=account["engine"],
        state="succeeded" if "payload_sha256" in result else "failed",
        owner="",
        started=account["started"],
        seconds=account["seconds"],
        phase=result.get("phase"),
        error=result.get("error"),
        sealed=bool(account["seal"]),
        payload=result.get("payload_sha256"),
        filename=result.get("filename"),
    )


def _restore_wheel(
    layout: Layout, state: State, root: Path, project: str, file: File, attempts: dict[str | None, list[Attempt]]
) -> None:
    numbered = any_number(Version(file.version))
    if numbered is None:
        return
    upstream, label, number = numbered
    state.raise_floor(label, project, str(upstream), number)
    payload = _payload_of(layout, root / "files" / file.filename, label)
    # Of several that made the same, the last that had begun when it was published; the index knows whole seconds.
    published = file.upload_time or now()
    latest = timestamp(published + timedelta(seconds=1))
    attempt = next((one for one in reversed(attempts.get(payload, ())) if one.started < latest), None)
    known = {(wheel.channel, wheel.wheel) for wheel in state.published_anywhere(project)}
    if payload is None or attempt is None or (root.name, file.filename) in known:
        return
    state.claim_label(root.name, label)
    row = PublishedWheel(
        label=label,
        name=project,
        version=str(upstream),
        number=number,
        target=attempt.target,
        channel=root.name,
        wheel=file.filename,
        wheel_sha256=file.sha256,
        payload=payload,
        key=attempt.key,
        recipe=attempt.recipe,
        attempt=attempt.id,
        published=timestamp(published),
    )
    state.begin_publish([row])
    state.finish_publish(label, project, str(upstream), number)


def _payload_of(layout: Layout, wheel: Path, label: str) -> str | None:
    """The digest of what a numbered wheel was made of; None where it is gone or damaged, which `index verify` tells."""
    from pybuilder.wheel.numbering import strip

    with work_directory(layout, new_attempt_id(now())) as work:
        try:
            return strip(wheel, work / "payload.whl", label=label)
        except (FileNotFoundError, BuildError, ValidationError):
            return None
