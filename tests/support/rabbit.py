"""A RabbitMQ broker of a test's own: its name, directories and ports are nobody else's, and nothing of it stays."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Debian's wrapper in PATH would run it as another user, in directories of its own.
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


@contextmanager
def rabbit(home: Path) -> Iterator[str]:
    """Run a broker on loopback; its AMQP URL."""
    epmd = shutil.which("epmd")
    assert epmd and SERVER.exists(), "RabbitMQ is missing: apt-get install rabbitmq-server, or dnf"
    port, distribution, names = _free_ports(3)
    settings = home / "rabbitmq.conf"
    settings.write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\nloopback_users = none\n")
    ours = {
        "HOME": str(home),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(names),
        "RABBITMQ_NODENAME": f"pybuild-{secrets.token_hex(4)}@localhost",
        "RABBITMQ_BASE": str(home),
        "RABBITMQ_MNESIA_BASE": str(home / "db"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_CONFIG_FILE": str(settings),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }
    environ = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **ours}
    with (home / "output").open("wb") as output:
        options = {"env": environ, "stdout": output, "stderr": output, "start_new_session": True}
        # Else the broker starts one that stays.
        with subprocess.Popen([epmd], **options) as directory:
            try:
                with subprocess.Popen([SERVER], **options) as server:
                    try:
                        _wait(port, server, home / "output")
                        yield f"amqp://guest:guest@127.0.0.1:{port}/%2F"
                    finally:
                        os.killpg(server.pid, signal.SIGKILL)
            finally:
                directory.kill()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _wait(port: int, server: subprocess.Popen[bytes], output: Path) -> None:
    """Until it answers in AMQP."""
    deadline = time.monotonic() + 90
    while not _answers(port):
        assert server.poll() is None and time.monotonic() < deadline, output.read_text()[-3000:]
        time.sleep(0.1)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(connection.recv(1))
    except OSError:
        return False
