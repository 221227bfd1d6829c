"""Webhooks: each message is POSTed as JSON, again after growing waits, and not for ever.

A hook that doesn't take messages must not hold a pass back, and its address is told only as far as it is no secret.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pybuilder.errors import FetchError
from pybuilder.http import Client, redact
from pybuilder.pass_messages import Document
from pybuilder.posting import Answer
from pybuilder.printable import printable

PATIENCE = 30.0
"""Seconds that a pass gives to all messages of one hook."""
TIMEOUT = 10.0
"""Seconds to wait for a hook's answer."""
ATTEMPTS = 4
_FIRST_WAIT = 0.5  # seconds
# What a server says to a message that it would never take.
_REFUSED = frozenset({400, 413, 415, 422})


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Why no more messages were taken.

    Attributes:
        what: The sentence; nothing secret is in it, nor what changes while nobody does anything about it.
        cure: What to do, with what else is known.
        exit_code: What it counts as.
        wait: Seconds before which nothing should be sent.
    """

    what: str
    cure: str = ""
    exit_code: int = FetchError.exit_code
    wait: float = 0.0


class Courier(Protocol):
    """Brings messages to one address."""

    def __call__(self, messages: Sequence[Document], done: Callable[[str], None], patience: float) -> Fault | None:
        """Bring messages, in their order.

        Args:
            messages: The messages.
            done: Told the id of each that was taken, or that will never be.
            patience: Seconds that it may take.

        Returns:
            Why not all of them were taken, or None.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Hook:
    """A courier to a webhook.

    Attributes:
        client: Speaks HTTP.
        url: The hook's URL, a secret but for its host.
        clock: Seconds that only grow.
    """

    client: Client
    url: str
    clock: Callable[[], float] = time.monotonic

    def __call__(self, messages: Sequence[Document], done: Callable[[str], None], patience: float) -> Fault | None:
        """See ``Courier``; a message that the hook says it can't read is given up, and told at the end."""
        deadline, refused = self.clock() + patience, None
        try:
            for message in messages:
                if self.clock() > deadline:
                    break
                answer = self._brought(message, deadline)
                if answer.status in _REFUSED:
                    refused = Fault(what=f"the hook refuses a message: {_said(answer)}", cure=_REFUSED_CURE)
                elif not answer.taken:
                    return _fault(answer)
                done(message["id"])
        except FetchError as error:
            return Fault(what=error.what.replace(redact(self.url), public(self.url)), cure=error.cure)
        return refused

    def _brought(self, message: Document, deadline: float) -> Answer:
        """The last answer to a message: it is sent again as long as that may help and there is time."""
        body = json.dumps(message, sort_keys=True).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": message["id"]}
        for attempt in range(ATTEMPTS):
            answer = self.client.post(self.url, body, headers, timeout=TIMEOUT)
            pause = max(answer.wait, _FIRST_WAIT * 2**attempt * (1 + self.client.jitter()))
            if not answer.passing or attempt + 1 == ATTEMPTS or self.clock() + pause > deadline:
                break
            self.client.sleep(pause)
        return answer


_REFUSED_CURE = "look at what it expects; the message is not sent again"


def public(url: str) -> str:
    """What of an address may be told: its scheme and host, since hooks have their secrets in the path as well."""
    scheme, _, rest = redact(url).partition("://")
    host, _, path = rest.partition("/")
    return f"{scheme}://{host}" + ("/…" if path else "")


def _fault(answer: Answer) -> Fault:
    if answer.passing:
        # One that answers so and then so is the same problem.
        cure = f"see why: {_said(answer)}; its messages are kept and sent by the next pass"
        return Fault(what="the hook takes no messages", cure=cure, wait=answer.wait)
    if 300 <= answer.status < 400:
        cure = "write the address that it redirects to into notify in pybuild.toml"
    else:
        cure = "correct or remove its address in notify in pybuild.toml; its messages are kept"
    return Fault(what=f"the hook takes no messages: {_said(answer)}", cure=cure)


def _said(answer: Answer) -> str:
    reason = printable(answer.reason)[:200]
    return f"it answers {answer.status} {reason}".rstrip() if answer.status else reason
