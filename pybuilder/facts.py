"""Where what was found out once is remembered."""

from __future__ import annotations

from typing import Any, Protocol


class Facts(Protocol):
    """A memory of what was found out; the database is one."""

    def fact(self, kind: str, key: str) -> Any:
        """What is known under a key, or None."""

    def add_fact(self, kind: str, key: str, value: Any) -> None:
        """Remember a fact."""
