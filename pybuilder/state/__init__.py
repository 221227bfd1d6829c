"""What must be remembered between runs and can't be read off the store: pins, attempts, numbers, validations, review.

SQLite from the standard library: its import is a hundredth of that of an SQL toolkit, which would take half of what a
cached build may take.
"""

from __future__ import annotations

from pybuilder.state.attempts import INTERRUPTED, Attempt, Attempts
from pybuilder.state.database import check_owner
from pybuilder.state.memory import Memory
from pybuilder.state.numbers import Numbers, PublishedWheel

__all__ = ["INTERRUPTED", "Attempt", "PublishedWheel", "State", "check_owner"]


class State(Attempts, Numbers, Memory):
    """The database of one state directory; one object serves all threads."""
