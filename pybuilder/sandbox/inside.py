"""The first process inside every sandbox. Standard library only, and no import of pybuild: it runs where we are not.

It is called with two pipes, by descriptor, or by path together with a third for its output. It reads one line, the
job; gives up its rights and sets limits; looks around and reports the *seal*; waits for our word; runs the steps in
order, reporting each; and ends. A step is

- ``{"do": "requires", ...}``: ``get_requires_for_build_wheel`` (PEP 517), answered by us with go or stop,
- ``{"do": "wheel", ...}``: ``build_wheel`` into ``/out``,
- ``{"do": "run", "argv": [...]}``: a program,
- ``{"do": "shell", "argv": [...], "size": [rows, columns]}``: a program that a person talks to, by standard input; on a
  terminal of its own where a size is given.

Everything that the steps print goes to standard output and error, which is the log. The steps' processes run as the
same user as this one, so it hides from them: what it says outside must not be theirs to write.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time

# Each start pays for each import: what only annotations or people need is left out.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Step = Mapping[str, Any]
    Job = dict[str, Any]

HERE = os.path.dirname(os.path.abspath(__file__))
# Isolated, Python looks for nothing beside its script.
sys.path.insert(0, HERE)
import confine  # noqa: E402

PYTHON = "/env/bin/python"


def main() -> int:
    """Talk to the outside on the pipes named on the command line."""
    reader, writer = open_pipes(*sys.argv[1:])
    close_all_but(0, 1, 2, reader, writer)
    talk = Talk(reader, writer)
    job = talk.hear_job()
    if job is None:
        return 1
    if job["processors"]:
        # Some of them may be forbidden to us from outside, as to a service of a part of the machine.
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, job["processors"])
    memory_limit = confine.set_limits(job["limits"])
    confine.become(job["uid"], job["gid"])
    confine.hide()
    confine.forbid_calls()
    if os.getpid() == 1:
        go_on_as_child(reader, writer)
    os.umask(0o022)
    os.chdir(job["cwd"])
    os.makedirs(job["env"]["HOME"], exist_ok=True)
    talk.tell("seal", **confine.probe(), memory_limit=memory_limit)
    if not talk.hear():
        return 1
    for step in job["steps"]:
        started = time.monotonic()
        try:
            result = DO[step["do"]](step, job)
        except StepFailed as error:
            talk.tell("failed", step=step["do"], message=str(error), out_of_memory=confine.out_of_memory())
            return 1
        talk.tell("done", step=step["do"], seconds=time.monotonic() - started, result=result)
        if step["do"] == "requires" and not talk.hear():
            break
    if "hooks" in job:
        job["hooks"].end()
    talk.tell("end")
    return 0


class StepFailed(Exception):
    """A step ended badly; the message is for a person."""


class Talk:
    """One JSON object a line, both ways."""

    def __init__(self, reader: int, writer: int) -> None:
        self.reader = os.fdopen(reader, "r", encoding="utf-8")
        # What a backend returned may hold lone surrogates, which nobody outside could write down.
        self.writer = os.fdopen(writer, "w", encoding="utf-8", errors="replace")

    def tell(self, event: str, **facts: Any) -> None:
        """Report something."""
        self.writer.write(json.dumps({"event": event, **facts}, ensure_ascii=False) + "\n")
        self.writer.flush()

    def hear_job(self) -> Job | None:
        """What to do; None when whoever started us has died."""
        line = self.reader.readline()
        job: Job | None = json.loads(line) if line.endswith("\n") else None
        return job

    def hear(self) -> bool:
        """Whether to go on; no answer is a no."""
        return self.reader.readline().strip() == "go"


def close_all_but(*keep: int) -> None:
    """Close whatever was open in whoever started us."""
    for descriptor in {int(name) for name in os.listdir("/proc/self/fd")} - set(keep):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def open_pipes(answers: str, events: str, output: str = "", typed: str = "") -> tuple[int, int]:
    """The descriptors for answers and events; the other pipes become standard output and input where they are named.

    Named pipes can be opened by whoever sees their names: the outside removes them before any step runs.
    """
    if not output:
        return int(answers), int(events)
    printed = os.open(output, os.O_WRONLY)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    if typed:
        os.dup2(os.open(typed, os.O_RDONLY), 0)
    return os.open(answers, os.O_RDONLY), os.open(events, os.O_WRONLY)


def go_on_as_child(reader: int, writer: int) -> None:
    """Leave the place of the first process, where the engine has put us, to a parent that does its duties.

    The first process of a PID namespace inherits orphans and must wait for them, and when it ends the kernel ends all
    others. So it ends with the work, and when nobody outside holds the pipe of answers any more, whatever killed them.
    """
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    worker = os.fork()
    if worker == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(woken)
        os.close(wake)
        return
    os.close(writer)
    watched = select.poll()
    watched.register(reader, 0)
    watched.register(woken, select.POLLIN)
    while reader not in dict(watched.poll()):
        os.read(woken, 4096)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == worker:
                    os._exit(os.waitstatus_to_exitcode(ended[1]) & 0xFF)
    os._exit(1)


def hook_caller(step: Step, job: Job) -> Any:
    """pyproject-hooks, run by the environment's interpreter, which may compile side by side."""
    from pyproject_hooks import BuildBackendHookCaller

    def runner(cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        python, script, *arguments = cmd
        if "hooks" not in job:
            parallel = [os.path.join(HERE, "parallel.py"), str(job["cpus"])] if job["cpus"] > 1 else []
            program = [python, *parallel, os.path.join(HERE, "hooks.py"), script]
            job["hooks"] = Hooks(program, cwd, {**job["env"], **(extra_environ or {})})
        check_end(job["hooks"].call(arguments))

    try:
        return BuildBackendHookCaller(
            job["cwd"], step["backend"], step["backend_path"] or None, runner=runner, python_executable=PYTHON
        )
    except ValueError as error:
        raise StepFailed(f"backend-path in pyproject.toml: {error}") from error


class Hooks:
    """``hooks.py``, started once for all hooks of a backend; it ends when this process does."""

    def __init__(self, program: Sequence[str], cwd: str | None, env: Mapping[str, str]) -> None:
        reader, requests = os.pipe()
        results, writer = os.pipe()
        argv = [*program, str(reader), str(writer)]
        try:
            self.process = subprocess.Popen(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, pass_fds=(reader, writer))
        except OSError as error:
            raise StepFailed(f"{argv[0]} can't be started: {error}") from error
        os.close(reader)
        os.close(writer)
        self.requests, self.results = os.fdopen(requests, "w"), os.fdopen(results)

    def call(self, arguments: Sequence[str]) -> int:
        """How the hook ended, as ``subprocess`` has it; as what it was forked from, where that has ended."""
        with contextlib.suppress(BrokenPipeError):
            self.requests.write(json.dumps(arguments) + "\n")
            self.requests.flush()
        try:
            return int(self.results.readline())
        except ValueError:
            return self.process.wait()

    def end(self) -> None:
        """End it; it has nothing to finish."""
        self.process.kill()
        self.process.wait()


def run_checked(argv: Sequence[str], cwd: str | None, env: Mapping[str, str]) -> None:
    """Run a program; a bad end becomes a sentence."""
    try:
        code = subprocess.call(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise StepFailed(f"{argv[0]} can't be started: {error}") from error
    check_end(code)


def check_end(code: int) -> None:
    """Refuse any exit status but 0."""
    if code < 0:
        raise StepFailed(f"was ended by signal {-code}")
    if code:
        raise StepFailed(f"ended with exit code {code}")


def show(text: object) -> None:
    """Put a backend's words into the log, whatever characters are in them."""
    os.write(1, f"{text}\n".encode("utf-8", "backslashreplace"))


def call_hook(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call a hook; what pyproject-hooks raises becomes a sentence, what the backend printed is in the log already."""
    from pyproject_hooks import BackendUnavailable, UnsupportedOperation

    try:
        return function(*arguments, **keywords)
    except BackendUnavailable as error:
        show(error.traceback)
        detail = str(error.traceback).strip().rpartition("\n")[2]
        raise StepFailed(f"the build backend can't be imported: {detail}") from error
    except UnsupportedOperation as error:
        show(error.traceback)
        raise StepFailed("the backend says that it can't build a wheel") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, MemoryError) as error:
        # The answer comes through files that the backend's processes can write and remove.
        raise StepFailed(f"the backend's answer can't be read: {type(error).__name__}: {error}") from error


def file_name(value: object, hook: str) -> str:
    """What a hook returned where PEP 517 wants the base name of what it made."""
    if not isinstance(value, str) or value != os.path.basename(value) or not value.isprintable() or not value:
        raise StepFailed(f"{hook} returned {value!r:.200} where a file name belongs")
    return value


def do_requires(step: Step, job: Job) -> list[str]:
    """The requirements that only the backend knows, as strings."""
    caller = hook_caller(step, job)
    requires: list[str] = call_hook(caller.get_requires_for_build_wheel, step["config_settings"])
    if not isinstance(requires, list) or not all(isinstance(r, str) for r in requires):
        raise StepFailed("get_requires_for_build_wheel returned something other than a list of strings")
    return requires


def do_wheel(step: Step, job: Job) -> str:
    """The file name of the wheel below /out."""
    caller = hook_caller(step, job)
    return file_name(call_hook(caller.build_wheel, "/out", step["config_settings"]), "build_wheel")


def do_run(step: Step, job: Job) -> None:
    """Run a program of the spec's [test]."""
    run_checked(step["argv"], step.get("cwd", job["cwd"]), job["env"])


def do_shell(step: Step, job: Job) -> None:
    """Run a program that a person talks to; how it ends is the person's business."""
    if not step["size"]:
        subprocess.call(step["argv"], cwd=job["cwd"], env=job["env"])
        return
    import fcntl
    import pty
    import struct
    import termios

    child, terminal = pty.fork()
    if child == 0:
        os.chdir(job["cwd"])
        os.execve(step["argv"][0], step["argv"], job["env"])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *step["size"], 0, 0))
    relay(terminal)
    os.waitpid(child, 0)


def relay(terminal: int) -> None:
    """Carry bytes between a terminal and standard input and output, until nobody has it open any more."""
    sources = {terminal: 1, 0: terminal}
    while terminal in sources:
        for source in select.select(list(sources), [], [])[0]:
            try:
                data = os.read(source, 1 << 14)
            except OSError:  # a terminal that everybody has closed gives EIO
                data = b""
            if data:
                os.write(sources[source], data)
            else:
                del sources[source]


DO: dict[str, Callable[[Step, Job], Any]] = {
    "requires": do_requires,
    "wheel": do_wheel,
    "run": do_run,
    "shell": do_shell,
}


if __name__ == "__main__":
    sys.exit(main())
