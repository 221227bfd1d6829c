"""What a server says to what is sent to it by HTTP."""

from __future__ import annotations

from dataclasses import dataclass

TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
"""What a server that is there says when it can't answer now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        status: Its status; 0 where none came, so that nobody knows whether the server has what was sent.
        reason: The server's own words for it; or why none came.
        wait: Seconds before which nothing should be sent again; 0 where the server doesn't say.
    """

    status: int
    reason: str
    wait: float

    @property
    def taken(self) -> bool:
        """Whether the server has taken it."""
        return 200 <= self.status < 300

    @property
    def passing(self) -> bool:
        """Whether the same may be taken another time."""
        return self.status == 0 or self.status in TRANSIENT
