"""Messages that a pass of ``cron`` means for others: JSON documents of a fixed form, whoever carries them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from pybuilder.passes import Awaited, Built, Updated

VERSION = 1
BUILD_COMPLETE = "pybuild.build.complete"
REVIEW_REQUESTED = "pybuild.review.requested"
UPDATE_APPLIED = "pybuild.update.applied"

Document = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """What every message says.

    Attributes:
        id: Its own; it stays the same when it is sent again.
        time: When there was this to tell, in UTC.
        run: The pass that tells it.
        workspace: The workspace's directory name.
        channel: The channel.
    """

    id: str
    time: datetime
    run: str
    workspace: str
    channel: str


def build_complete(envelope: Envelope, built: Built) -> Document:
    """The message of a build that has been published."""
    told = asdict(built)
    return _document(envelope, BUILD_COMPLETE, "build", told | {"seconds": round(built.seconds, 3)})


def review_requested(envelope: Envelope, awaited: Awaited) -> Document:
    """The message of a package or version that waits for a person from now on."""
    told = {
        "name": awaited.name,
        "requirement": awaited.requirement,
        "wanted_by": awaited.wanted_by,
        "first_seen": _utc(awaited.first_seen),
    }
    return _document(envelope, REVIEW_REQUESTED, "review", told)


def update_applied(envelope: Envelope, updated: Updated) -> Document:
    """The message of a new upstream version that has been built and pinned."""
    return _document(envelope, UPDATE_APPLIED, "update", asdict(updated))


def _document(envelope: Envelope, topic: str, subject: str, told: Mapping[str, Any]) -> Document:
    return {
        "version": VERSION,
        "id": envelope.id,
        "topic": topic,
        "time": _utc(envelope.time),
        "run": envelope.run,
        "workspace": envelope.workspace,
        "channel": envelope.channel,
        subject: dict(told),
    }


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


_TEXT = {"type": "string"}
_TIME = {"type": "string", "format": "date-time"}


def _schema(title: str, topic: str, subject: str, properties: Mapping[str, Mapping[str, Any]]) -> Document:
    """The JSON Schema (2020-12) of one topic; fields may be added later, so others than these are no fault."""
    about = {"type": "object", "properties": properties, "required": list(properties)}
    fields = {
        "version": {"const": VERSION, "description": "Of this form; another form has another number."},
        "id": {"type": "string", "format": "uuid", "description": "The same when the message is sent again."},
        "topic": {"const": topic},
        "time": _TIME | {"description": "When there was this to tell, in UTC."},
        "run": _TEXT | {"description": "The pass that told it, as in its log."},
        "workspace": _TEXT | {"description": "The workspace's directory name."},
        "channel": _TEXT,
        subject: about,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "properties": fields,
        "required": list(fields),
    }


SCHEMAS: Mapping[str, Document] = {
    BUILD_COMPLETE: _schema(
        "A build has been published",
        BUILD_COMPLETE,
        "build",
        {
            "build": _TEXT | {"description": "CHANNEL/NAME==VERSION+LABEL.N"},
            "name": _TEXT | {"description": "Normalised (PEP 503)."},
            "version": _TEXT | {"description": "Upstream's."},
            "why": _TEXT | {"description": "What made it needed; empty where a person's own run published it."},
            "seconds": {"type": "number", "minimum": 0, "description": "How long it was built; 0 where it was known."},
        },
    ),
    REVIEW_REQUESTED: _schema(
        "Something waits for a person",
        REVIEW_REQUESTED,
        "review",
        {
            "name": _TEXT | {"description": "Normalised (PEP 503)."},
            "requirement": _TEXT | {"description": "What is wanted of it."},
            "wanted_by": _TEXT | {"description": "Who wants it."},
            "first_seen": _TIME | {"description": "Since when, in UTC."},
        },
    ),
    UPDATE_APPLIED: _schema(
        "A new upstream version has been built and pinned",
        UPDATE_APPLIED,
        "update",
        {
            "name": _TEXT | {"description": "Normalised (PEP 503)."},
            "old": _TEXT | {"description": "The version before it in its series; empty for the first."},
            "new": _TEXT,
            "commit": _TEXT | {"description": "The commit that pins it; empty where there is no git repository."},
            "needed_by": {"type": "integer", "minimum": 0, "description": "How many packages need it."},
        },
    ),
}
"""By topic."""
