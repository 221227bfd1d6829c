"""Read a lost database back from what lies on disk: records say what was built, indexes say what was published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from packaging.version import Version

from pybuilder.clock import new_attempt_id, timestamp
from pybuilder.errors import PybuildError
from pybuilder.index import File, Index
from pybuilder.record import RECORD, read_record
from pybuilder.stages import Adapters
from pybuilder.state import Attempt, PublishedWheel
from pybuilder.wheel.numbering import strip
from pybuilder.work import work_directory


def recover(adapters: Adapters) -> None:
    """Fill a new database from the store's records and the published indexes, as far as they go.

    Numbers that were handed out must never be handed out again, so whatever an index lists raises the floor, also
    where its record is gone.
    """
    attempts = {attempt.payload: attempt for attempt in _recorded(adapters)}
    for attempt in attempts.values():
        adapters.state.restore_attempt(attempt)
    indexes = adapters.layout.index("x").parent
    for root in sorted(indexes.iterdir()) if indexes.is_dir() else ():
        index = Index(root, lock=adapters.layout.lock(f"index-{root.name}"))
        for project in index.projects():
            for file in index.files(project):
                _restore_wheel(adapters, root, project, file, attempts)


def _recorded(adapters: Adapters) -> Iterator[Attempt]:
    for file in sorted(adapters.layout.records("x").parent.glob(f"*/*/{RECORD}")):
        try:
            account = read_record(file.parent)
        except PybuildError:
            continue  # a damaged record proves nothing; the payload is built again when it is needed
        result = account["result"]
        yield Attempt(
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
    adapters: Adapters, root: Path, project: str, file: File, attempts: dict[str | None, Attempt]
) -> None:
    numbered = _number_of(Version(file.version))
    if numbered is None:
        return
    upstream, label, number = numbered
    adapters.state.raise_floor(label, project, str(upstream), number)
    with work_directory(adapters.layout, new_attempt_id(adapters.now())) as work:
        payload = strip(root / "files" / file.filename, work / "payload.whl", label=label)
    attempt = attempts.get(payload)
    if attempt is None:
        return
    adapters.state.claim_label(root.name, label)
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
        published=timestamp(file.upload_time or adapters.now()),
    )
    adapters.state.begin_publish([row])
    adapters.state.finish_publish(label, project, str(upstream), number)


def _number_of(version: Version) -> tuple[Version, str, int] | None:
    """Upstream's version, the label and the number, whatever the label is."""
    parts = (version.local or "").split(".")
    if len(parts) < 2 or not parts[-1].isdigit():
        return None
    rest = ".".join(parts[:-2])
    return Version(version.public + (f"+{rest}" if rest else "")), parts[-2], int(parts[-1])
