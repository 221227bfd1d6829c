"""Message brokers: messages go out by fedora-messaging (AMQP), in a process of its own; see ``fedora_publish``."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pybuilder.errors import ConfigError, EngineError
from pybuilder.hooks import Fault
from pybuilder.pass_messages import Document
from pybuilder.processes import Completed, run

_KEPT = "its messages are kept and sent by the next pass"
# Starting and ending the process.
_OVERHEAD = 4.0  # seconds
_PASSING = {
    "ConnectionException": "the connection fails, or it knows another user or password",
    "PublishTimeout": "it doesn't answer",
}
_LASTING = {
    "ConfigurationException": "fedora-messaging's own settings are wrong",
    "PublishForbidden": "it forbids to publish there",
    "PublishReturned": "it refuses a message",
    # Of fedora_messaging.message.get_name.
    "TypeError": "pybuild's messages are not registered; install pybuild-hermetic[fedora-messaging] again",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Broker:
    """A courier to a message broker.

    Attributes:
        url: Its ``amqp`` or ``amqps`` URL, a secret but for its host.
        installed: Whether fedora-messaging is.
        run: Starts processes.
    """

    url: str
    installed: Callable[[], bool] = lambda: importlib.util.find_spec("fedora_messaging") is not None
    run: Callable[..., Completed] = run

    def __call__(self, messages: Sequence[Document], done: Callable[[str], None], patience: float) -> Fault | None:
        """See ``hooks.Courier``."""
        if not self.installed():
            return Fault(
                what="messages for a broker need fedora-messaging, which is not installed",
                cure="pip install 'pybuild-hermetic[fedora-messaging]'",
                exit_code=ConfigError.exit_code,
            )
        task = {"url": self.url, "patience": patience - _OVERHEAD, "messages": list(messages)}
        # The URL on standard input: everybody sees a process's arguments.
        argv = [sys.executable, "-P", "-m", "pybuilder.fedora_publish"]
        try:
            completed = self.run(argv, input=json.dumps(task).encode(), timeout=patience)
            told = json.loads(completed.stdout)
        except (EngineError, ValueError):
            return Fault(what="the broker takes no messages", cure=f"see why: publishing broke off; {_KEPT}")
        for message in told["done"]:
            done(message)
        if not told["error"]:
            return None
        if told["error"] in _PASSING:
            return Fault(what="the broker takes no messages", cure=f"see why: {_PASSING[told['error']]}; {_KEPT}")
        words = _LASTING.get(told["error"], told["error"])
        return Fault(what=f"the broker takes no messages: {words}", cure=f"see its log, and notify; {_KEPT}")
