"""pybuild's messages for fedora-messaging: what its consumers get of them; found by the entry points fedora.messages.

Needs the extra ``fedora-messaging``.
"""

from __future__ import annotations

from typing import Any, ClassVar

from fedora_messaging.message import Message

from pybuilder.pass_messages import BUILD_COMPLETE, REVIEW_REQUESTED, SCHEMAS, UPDATE_APPLIED


class _Told(Message):
    """What all have in common.

    Attributes:
        about: Where in the body that lies which the message is about.
    """

    about: ClassVar[str]

    @property
    def app_name(self) -> str:
        """Who sends it."""
        return "pybuild"

    @property
    def packages(self) -> list[str]:
        """The package that it is about, as Python names it."""
        return [self._told["name"]]

    @property
    def _told(self) -> dict[str, Any]:
        told: dict[str, Any] = self.body[self.about]
        return told


class BuildCompleteV1(_Told):
    """A build has been published."""

    topic = BUILD_COMPLETE
    body_schema: ClassVar[dict[str, Any]] = dict(SCHEMAS[BUILD_COMPLETE])
    about = "build"

    @property
    def summary(self) -> str:
        """In a line."""
        return f"{self._told['build']} has been published"

    def __str__(self) -> str:
        why = f" ({self._told['why']})" if self._told["why"] else ""
        return f"{self.summary}{why} by pybuild, workspace {self.body['workspace']}"


class ReviewRequestedV1(_Told):
    """Something waits for a person."""

    topic = REVIEW_REQUESTED
    body_schema: ClassVar[dict[str, Any]] = dict(SCHEMAS[REVIEW_REQUESTED])
    about = "review"

    @property
    def summary(self) -> str:
        """In a line."""
        return f"{self._told['requirement']} waits for review in {self.body['workspace']}"

    def __str__(self) -> str:
        return f"{self.summary}, wanted by {self._told['wanted_by']} since {self._told['first_seen']}"


class UpdateAppliedV1(_Told):
    """A new upstream version has been built and pinned."""

    topic = UPDATE_APPLIED
    body_schema: ClassVar[dict[str, Any]] = dict(SCHEMAS[UPDATE_APPLIED])
    about = "update"

    @property
    def summary(self) -> str:
        """In a line."""
        old = f"{self._told['old']} -> " if self._told["old"] else ""
        return f"{self._told['name']} {old}{self._told['new']} in {self.body['workspace']}"

    def __str__(self) -> str:
        commit = f", commit {self._told['commit']}" if self._told["commit"] else ""
        return f"{self.summary}{commit}; {self._told['needed_by']} packages need it"


CLASSES: dict[str, type[_Told]] = {each.topic: each for each in (BuildCompleteV1, ReviewRequestedV1, UpdateAppliedV1)}
"""By topic."""
