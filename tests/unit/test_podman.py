"""How we talk to podman's service, and what we make of its answers: a small server on a socket stands in for it."""

from __future__ import annotations

import json
import os
import resource
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from types import SimpleNamespace
from typing import Any

import pytest

from pybuilder import podman
from pybuilder.errors import EngineError
from pybuilder.interruption import Interruption
from pybuilder.podman import Services, own, process_limits
from pybuilder.podman.own import installed, last_words, runtime_directory, silence
from pybuilder.podman.service import Refused, Service, Unanswered, call, check_version

Answer = tuple[int, bytes] | None


@dataclass
class Fake:
    """A service that answers as it is told.

    Attributes:
        path: Its socket.
        version: What it says that it is.
        answers: By the beginning of method and path, what it answers with, one after the other, the last for ever; None
            is to hang up.
        asked: What it has been asked, methods and paths.
    """

    path: Path
    version: str = "4.3.1"
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def answer(self, request: str) -> Answer:
        self.asked.append(request)
        found = max((key for key in self.answers if request.startswith(key)), key=len, default="")
        answers = self.answers.get(found, [(200, b"{}")])
        return answers.pop(0) if len(answers) > 1 else answers[0]


def _handler(fake: Fake, over: threading.Event) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            path = self.path.partition("/libpod")[2]
            if path.startswith("/events"):
                self.send_response(200)
                self.end_headers()
                over.wait(30)
                self.close_connection = True
                return
            answer = (200, b"OK") if path == "/_ping" else fake.answer(f"{self.command} {path}")
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer[0])
            if fake.version:
                self.send_header("Libpod-API-Version", fake.version)
            self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

        do_POST = do_DELETE = do_GET

        def address_string(self) -> str:
            return "test"

        def log_message(self, *arguments: Any) -> None:
            pass

    return Handler


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fake]:
    made = Fake(path=tmp_path_factory.mktemp("s") / "x.sock")
    over = threading.Event()
    with _Server(str(made.path), _handler(made, over)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        over.set()
        server.shutdown()
        thread.join()


def refusal(message: str, cause: str) -> Answer:
    return 500, json.dumps({"message": message, "cause": cause, "response": 500}).encode()


class TestService:
    def test_a_container_from_beginning_to_end(self, fake: Fake) -> None:
        fake.answers = {
            "POST /containers/create": [(201, b'{"Id": "abc"}')],
            "POST /containers/abc/start": [(204, b"")],
            "GET /containers/abc/json": [(200, b'{"State": {"Pid": 77}}')],
            "POST /containers/abc/wait": [(200, b"3")],
            "DELETE /containers/abc": [(200, b"[]")],
        }
        service = call(fake.path, "runc")
        service.create({"name": "x"})
        service.start("abc")
        assert service.first_process("abc") == 77
        assert service.wait("abc") == 3
        service.remove("abc")
        service.close()
        assert [line.split()[0] for line in fake.asked] == ["POST", "POST", "GET", "POST", "DELETE"]

    def test_who_waits_can_be_interrupted(self, fake: Fake) -> None:
        """A container may take an hour; the thread that waits for it looks up now and then."""
        ended, answered = Interruption(), threading.Event()

        def never(request: str) -> Answer:
            fake.asked.append(request)
            if len(fake.asked) == 3:
                ended.tell()
            answered.wait(30)
            return None

        fake.answer = never  # type: ignore[method-assign]
        service = call(fake.path, "runc")
        with ended.heard(), pytest.raises(KeyboardInterrupt):
            service.wait("abc")
        assert len(fake.asked) == 3
        answered.set()
        service.close()

    def test_what_has_ended_has_no_process(self, fake: Fake) -> None:
        fake.answers = {"GET": [refusal("read /proc/77/cgroup: no such process", "no such process"), (500, b"{}")]}
        service = call(fake.path, "")
        assert service.first_process("abc") == 0
        with pytest.raises(Refused):
            service.first_process("abc")
        service.close()

    def test_what_is_gone_is_no_error(self, fake: Fake) -> None:
        fake.answers = {"": [(404, b'{"message": "no such container", "cause": "no such container"}')]}
        service = call(fake.path, "")
        assert service.first_process("abc") == 0
        assert not service.has_image("x")
        service.remove("abc")
        service.close()

    def test_removing_waits_for_others_that_do_the_same(self, fake: Fake) -> None:
        fake.answers = {"DELETE": [refusal("device busy", "busy")] * 2 + [(200, b"[]")]}
        service = call(fake.path, "")
        service.remove("abc")
        service.close()
        assert len(fake.asked) == 3

    @pytest.mark.parametrize(
        ("answer", "says"),
        [
            (refusal("runc: no cgroups: OCI runtime error", "OCI runtime error"), "runc: no cgroups"),
            (refusal("chown /x: invalid argument", "invalid argument"), "chown /x: invalid argument"),
            (refusal("one\ntwo\n  three", "x"), "one two three"),
            ((500, b"<html>\nno</html>"), "HTTP 500 <html> no</html>"),
            ((400, b""), "HTTP 400 "),
            ((500, b"[]"), "HTTP 500 []"),
            ((500, b'{"message": 3}'), 'HTTP 500 {"message": 3}'),
        ],
    )
    def test_refusals_are_one_line(self, fake: Fake, answer: Answer, says: str) -> None:
        fake.answers = {"": [answer]}
        service = call(fake.path, "runc")
        with pytest.raises(Refused) as caught:
            service.start("abc")
        service.close()
        assert caught.value.what == says
        assert caught.value.where == "podman 4.3.1 runc"

    @pytest.mark.parametrize("answer", [None, (200, b"rubbish"), (200, b"\xff")])
    def test_no_answer(self, fake: Fake, answer: Answer) -> None:
        fake.answers = {"": [answer]}
        service = call(fake.path, "")
        for ask in (lambda: service.create({}), service.info, lambda: service.remove("x")):
            with pytest.raises(Unanswered) as caught:
                ask()
            assert "\n" not in caught.value.what and caught.value.cure
        service.close()

    def test_a_service_that_is_gone(self, tmp_path: Path) -> None:
        with pytest.raises(Unanswered, match="does not answer"):
            call(tmp_path / "nobody.sock", "")

    @pytest.mark.parametrize(
        ("mapped", "count"),
        [
            ([{"container_id": 0, "host_id": 1000, "size": 1}], 0),
            ([{"container_id": 0, "size": 1}, {"container_id": 1, "size": 65536}], 65536),
            (None, -1),
        ],
    )
    def test_subordinate_ids(self, fake: Fake, mapped: Any, count: int) -> None:
        fake.answers = {"GET /info": [(200, json.dumps({"host": {"idMappings": {"uidmap": mapped}}}).encode())]}
        service = call(fake.path, "")
        assert service.subordinate_ids() == count
        service.close()


class TestVersions:
    @pytest.mark.parametrize("version", ["4.0.0", "4.3.1", "5.8.0-dev", "10.1"])
    def test_good_enough(self, version: str) -> None:
        check_version(version, Path("/x"))

    @pytest.mark.parametrize("version", ["3.4.4", "3.9", "1.0.0"])
    def test_too_old(self, fake: Fake, version: str) -> None:
        fake.version = version
        with pytest.raises(EngineError) as caught:
            call(fake.path, "")
        assert caught.value.what == f"podman {version} is too old"
        assert "4.0 or newer" in caught.value.cure and caught.value.where == str(fake.path)

    @pytest.mark.parametrize("version", ["", "x", "four.three"])
    def test_something_else_that_answers(self, fake: Fake, version: str) -> None:
        fake.version = version
        with pytest.raises(EngineError, match="is not podman") as caught:
            call(fake.path, "")
        assert "CONTAINER_HOST" in caught.value.cure


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of programs that is all there is, with podman in it."""
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "podman").write_text("#!/bin/sh\nexit 1\n")
    (directory / "podman").chmod(0o755)
    monkeypatch.setenv("PATH", str(directory))
    return directory


@pytest.fixture
def services(fake: Fake, programs: Path) -> Iterator[Services]:
    """Services of which the fake is the only one."""
    learned: list[str] = []
    made = Services(environ={"CONTAINER_HOST": f"unix://{fake.path}"}, preferred="crun", learn=learned.append)
    yield made
    made.close()
    assert learned == [], "a service that somebody names says nothing of our own"


class TestServices:
    def test_a_named_one_is_the_only_one(self, services: Services, fake: Fake) -> None:
        service = services.started({"name": "x"})
        assert (service.runtime, service.socket) == ("", fake.path)
        assert services.working is service and list(services.each()) == [service]
        assert [line.partition("?")[0] for line in fake.asked] == [
            "POST /containers/create",
            "POST /containers/x/start",
        ]

    def test_one_that_another_thread_finds_to_work_is_tried_all_the_same(
        self, services: Services, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened = {name: SimpleNamespace(socket=Path(name)) for name in ("refuses", "works")}
        monkeypatch.setattr(Services, "_candidates", lambda self: [(Path(name), "") for name in opened])
        monkeypatch.setattr(Services, "_opened", lambda self, path, runtime: opened[str(path)])
        tried = services.each()
        assert next(tried) is opened["refuses"]
        services._open[Path("works")] = services.working = opened["works"]  # type: ignore[assignment]
        assert list(tried) == [opened["works"]]
        services._open.clear()

    def test_a_container_that_does_not_start_is_removed(self, services: Services, fake: Fake) -> None:
        fake.answers = {
            "POST /containers/x/start": [refusal("no", "OCI runtime error")],
            "GET /info": [(200, b'{"host": {}}')],
        }
        with pytest.raises(EngineError) as caught:
            services.started({"name": "x"})
        assert caught.value.what == f"podman can't start a container here: {fake.path}: no"
        assert [line for line in fake.asked if line.startswith("DELETE /containers/x")]
        assert caught.value.cure

    def test_one_that_hangs_up_is_called_again(self, services: Services, fake: Fake) -> None:
        """As when a service was ended between two builds of one process, and somebody has started it again."""
        first = services.started({"name": "x"})
        fake.answers = {"POST /containers/create": [None, (201, b'{"Id": "y"}')], "": [(200, b'{"Id": "y"}')]}
        second = services.started({"name": "y"})
        assert second is not first and services.working is second

    def test_removing_goes_on_with_another(self, services: Services, fake: Fake) -> None:
        services.started({"name": "x"})
        fake.answers = {"DELETE": [None, (200, b"[]")]}
        services.remove("x")
        assert len([line for line in fake.asked if line.startswith("DELETE")]) == 2

    def test_removing_where_none_answers(self, services: Services, fake: Fake) -> None:
        services.started({"name": "x"})
        fake.answers = {"DELETE": [None]}
        with pytest.raises(Unanswered):
            services.remove("x")

    def test_what_is_interrupted_is_removed(
        self, services: Services, fake: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def pressed(*arguments: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Service, "start", pressed)
        with pytest.raises(KeyboardInterrupt):
            services.started({"name": "x"})
        assert [line.partition("?")[0] for line in fake.asked] == ["POST /containers/create", "DELETE /containers/x"]

    def test_podman_is_let_finish_making_what_is_interrupted_meanwhile(
        self, services: Services, fake: Fake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create = Service.create

        def pressed(*arguments: Any) -> None:
            signal.raise_signal(signal.SIGINT)
            create(*arguments)

        monkeypatch.setattr(Service, "create", pressed)
        with pytest.raises(KeyboardInterrupt):
            services.started({"name": "x"})
        assert [line.partition("?")[0] for line in fake.asked] == ["POST /containers/create", "DELETE /containers/x"]

    def test_an_image_is_asked_for_where_somebody_answers(self, services: Services, fake: Fake) -> None:
        services.started({"name": "x"})
        fake.answers = {"GET /images": [None, (204, b"")]}
        assert services.has_image("x")
        fake.answers = {"GET /images": [(404, b"{}")]}
        assert not services.has_image("x")

    def test_no_podman(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nonexistent")
        services = Services(environ={})
        for ask in (lambda: services.started({"name": "x"}), lambda: services.remove("x")):
            with pytest.raises(EngineError, match="'podman' is missing") as caught:
                ask()
            assert "podman" in caught.value.cure

    @pytest.mark.parametrize("host", ["unix:///nonexistent.sock", "ssh://x@example.org/podman.sock", "rubbish"])
    def test_a_named_one_that_is_not_there(self, programs: Path, host: str) -> None:
        with pytest.raises(EngineError) as caught:
            next(Services(environ={"CONTAINER_HOST": host}).each())
        assert "does not answer" in caught.value.what and host in caught.value.where
        assert "unset CONTAINER_HOST" in caught.value.cure

    def test_in_which_order(self, programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        usual = tmp_path / "podman.sock"
        monkeypatch.setattr(podman, "installed", lambda runtime: True)
        monkeypatch.setattr(podman, "usual_socket", lambda environ: usual)
        monkeypatch.setattr(podman, "runtime_directory", lambda environ: tmp_path)
        there = {usual: ""}
        monkeypatch.setattr(podman, "silence", lambda path: there.get(path, "nobody"))
        crun, runc = ((tmp_path / f"{name}.sock", name) for name in ("crun", "runc"))

        def order(preferred: str) -> Any:
            return Services(environ={}, preferred=preferred)._candidates()

        assert order("") == [(usual, ""), crun, runc]
        assert order("runc") == [runc, (usual, ""), crun]
        assert order("gone") == [(usual, ""), crun, runc]
        there.clear()
        assert order("") == [crun, runc]
        monkeypatch.setattr(podman, "installed", lambda runtime: False)
        assert order("runc") == [(tmp_path / ".sock", "")]


class TestOwnServices:
    def test_one_that_does_not_start(self, programs: Path, tmp_path: Path) -> None:
        (programs / "podman").write_text("#!/bin/sh\necho first >&2; echo 'Error: no way' >&2; exit 1\n")
        with pytest.raises(EngineError) as caught:
            own.call_or_start(tmp_path / "x.sock", "", {"PATH": str(programs)})
        assert caught.value.what == "podman's service does not start: no way"
        assert caught.value.cure and caught.value.where == str(tmp_path / "x.log")

    @pytest.mark.parametrize(
        ("log", "says"),
        [
            ("", "it says nothing"),
            ("a\nb\n", "b"),
            ("Error: no space left\n", "no space left"),
            ('time="2026" level=error msg="cannot \\"x\\": it"\n', 'cannot "x": it'),
        ],
    )
    def test_its_last_words(self, log: str, says: str) -> None:
        assert last_words(log) == says

    def test_a_directory_of_its_own(self, tmp_path: Path, user: int) -> None:
        place = tmp_path / "pybuild"
        if not os.getuid():
            # Made by the user that root only pretends to be here.
            place.mkdir(mode=0o700)
            os.chown(place, user, user)
        for _ in range(2):
            assert runtime_directory({"XDG_RUNTIME_DIR": str(tmp_path)}) == place
        assert place.stat().st_mode & 0o777 == 0o700

    @pytest.mark.parametrize("what", ["open to others", "a link", "a file", "of somebody else"])
    def test_a_directory_that_is_not_ours_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, what: str
    ) -> None:
        place = tmp_path / "pybuild"
        if what == "a file":
            place.touch(mode=0o600)
        elif what == "a link":
            place.symlink_to(tmp_path)
        else:
            place.mkdir()
            place.chmod(0o755 if what == "open to others" else 0o700)
        os.chown(place, user, -1, follow_symlinks=False)
        if what == "of somebody else":
            monkeypatch.setattr(os, "geteuid", lambda: user + 1)
        with pytest.raises(EngineError, match="not ours alone") as caught:
            runtime_directory({"XDG_RUNTIME_DIR": str(tmp_path)})
        assert str(place) in caught.value.cure

    @pytest.fixture
    def user(self, monkeypatch: pytest.MonkeyPatch) -> int:
        """The number of an ordinary user that we are, or pretend to be."""
        user = os.getuid() or 4242
        monkeypatch.setattr(os, "geteuid", lambda: user)
        return user

    def test_silence(self, fake: Fake, tmp_path: Path) -> None:
        assert silence(fake.path) == ""
        assert silence(tmp_path / "x") == "No such file or directory"
        (tmp_path / "x").touch()
        assert silence(tmp_path / "x") == "Connection refused"
        assert "too long" in silence(Path("/" + "x" * 200))

    def test_runtimes_where_ordinary_users_do_not_look(self, monkeypatch: pytest.MonkeyPatch) -> None:
        searched: list[str] = []

        def which(program: str, path: str) -> None:
            searched.extend(path.split(":"))

        monkeypatch.setenv("PATH", "/usr/bin:/bin")
        monkeypatch.setattr(own.shutil, "which", which)
        assert not installed("runc")
        assert searched[:2] == ["/usr/bin", "/bin"] and "/usr/sbin" in searched


class TestLimits:
    @pytest.mark.parametrize(
        ("hard", "kept"),
        [(resource.RLIM_INFINITY, (16384, 100)), (1 << 20, (16384, 100)), (50, (50, 50)), (1000, (1000, 100))],
    )
    def test_within_our_own(self, monkeypatch: pytest.MonkeyPatch, hard: int, kept: tuple[int, int]) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda kind: (10, hard))
        files, processes = kept
        assert process_limits(processes=100) == [
            {"type": "nofile", "soft": files, "hard": files},
            {"type": "nproc", "soft": processes, "hard": processes},
        ]
