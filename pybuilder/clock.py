"""The one clock."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """ISO 8601 with microseconds and Z (PEP 700's form of an upload time)."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def new_attempt_id(moment: datetime) -> str:
    """A name for an attempt that sorts by time and that no other attempt has: ``20261121T061500.123456Z-1a2b3c``."""
    return f"{moment:%Y%m%dT%H%M%S.%f}Z-{secrets.token_hex(3)}"
