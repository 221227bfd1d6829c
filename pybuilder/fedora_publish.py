"""Publish messages by fedora-messaging, as a program of its own: ``brokers`` starts it.

Its library keeps a network loop, a broker and settings for the whole process, and never gives up by itself; a process
can be ended. It reads one JSON document on standard input (``url``, ``patience`` in seconds, ``messages``) and writes
one: ``done``, the ids of the messages that the broker has confirmed, and ``error``, the kind of what went wrong.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from fedora_messaging import api, config
from fedora_messaging.exceptions import BaseException as MessagingError

from pybuilder.fedora_messages import CLASSES


def publish(task: Mapping[str, Any]) -> dict[str, Any]:
    """Publish messages in their order, to the first that is not taken."""
    done: list[str] = []
    deadline = time.monotonic() + task["patience"]
    try:
        # A machine's own settings (/etc/fedora-messaging or $FEDORA_MESSAGING_CONF): certificates, topic prefix.
        config.conf.load_config()
        config.conf["amqp_url"] = task["url"]
        config.conf["client_properties"]["app"] = "pybuild"
        for body in task["messages"]:
            message = CLASSES[body["topic"]](body=body)
            # What is sent again is the same message.
            message.id = body["id"]
            # The library takes whole seconds.
            api.publish(message, timeout=max(1, int(deadline - time.monotonic())))
            done.append(body["id"])
    except (MessagingError, TypeError) as error:
        return {"done": done, "error": type(error).__name__}
    return {"done": done, "error": ""}


if __name__ == "__main__":
    # What it logs has the broker's URL in it, with the password.
    logging.disable()
    print(json.dumps(publish(json.load(sys.stdin))), flush=True)
    # The network loop's thread would wait for the broker.
    os._exit(0)
