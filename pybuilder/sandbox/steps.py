"""What happens inside a sandbox, from its first process on (``inside.py``), which is called with two pipes.

Runs inside: standard library only, and no import of pybuild. The pipes are named by descriptor, or by path together
with a third for its output. It reads one line, the job; gives up its rights and sets limits; looks around and reports
the *seal*; waits for our word; runs the steps in order, reporting each; and ends. A step is

- ``{"do": "requires", ...}``: ``get_requires_for_build_wheel`` (PEP 517), answered by us with go or stop,
- ``{"do": "wheel", ...}``: ``build_wheel`` into ``/out``,
- ``{"do": "run", "argv": [...]}``: a program,
- ``{"do": "shell", "argv": [...], "size": [rows, columns]}``: a program that a person talks to, by standard input; on a
  terminal of its own where a size is given.

Everything that the steps print goes to standard output and error, which is the log. The steps' processes run as the
same user as this one, so it hides from them: what it says outside must not be theirs to write.
"""

from __future__ import annotations

import _signal
import os
import sys
import time

import confine
from talk import Talk

# Each start pays for each import: what not every start needs is imported where it is needed, or not at all.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Step = Mapping[str, Any]
    Job = dict[str, Any]

HERE = os.path.dirname(os.path.abspath(__file__))
# What Python ignores itself, and a program expects to be ended by.
NOT_IGNORED = (_signal.SIGPIPE, _signal.SIGXFSZ)


def main() -> int:
    """Talk to the outside on the pipes named on the command line."""
    reader, writer = open_pipes(*sys.argv[1:])
    close_all_but(0, 1, 2, reader, writer)
    for descriptor in (reader, writer):
        os.set_inheritable(descriptor, False)
    talk = Talk(reader, writer)
    job = talk.hear_job()
    if job is None:
        return 1
    if job["processors"]:
        # Some of them may be forbidden to us from outside, as to a service of a part of the machine.
        try:
            os.sched_setaffinity(0, job["processors"])
        except OSError:
            pass
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


def close_all_but(*keep: int) -> None:
    """Close whatever was open in whoever started us."""
    for descriptor in {int(name) for name in os.listdir("/proc/self/fd")} - set(keep):
        try:
            os.close(descriptor)
        except OSError:
            pass


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
    _signal.set_wakeup_fd(wake)
    _signal.signal(_signal.SIGCHLD, lambda number, frame: None)
    worker = os.fork()
    if worker == 0:
        _signal.set_wakeup_fd(-1)
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        os.close(woken)
        os.close(wake)
        return
    import select

    os.close(writer)
    watched = select.poll()
    watched.register(reader, 0)
    watched.register(woken, select.POLLIN)
    while reader not in dict(watched.poll()):
        os.read(woken, 4096)
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == worker:
                    os._exit(os.waitstatus_to_exitcode(ended[1]) & 0xFF)
        except ChildProcessError:
            pass
    os._exit(1)


def start(argv: list[str], cwd: str, env: Mapping[str, str], *, quiet: bool = True) -> int:
    """Start a program, found as ``execvpe`` finds it; its process's number.

    Of what is open here it gets standard streams, of which it reads nothing if ``quiet``, and what can be inherited.
    """
    silence = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)] if quiet else []
    places = [""] if "/" in argv[0] else [f"{place}/" for place in env.get("PATH", os.defpath).split(":")]
    failure: OSError = FileNotFoundError()
    try:
        os.chdir(cwd)
        for place in places:
            try:
                return os.posix_spawn(place + argv[0], argv, env, file_actions=silence, setsigdef=NOT_IGNORED)
            except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
                failure = error
        raise failure
    except OSError as error:
        raise StepFailed(f"{argv[0]} can't be started: {error}") from error


def end_of(process: int) -> int:
    """Wait for the end of a process; its exit code, or less than nothing for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def check_end(code: int) -> None:
    """Refuse any exit status but 0."""
    if code < 0:
        raise StepFailed(f"was ended by signal {-code}")
    if code:
        raise StepFailed(f"ended with exit code {code}")


def do_requires(step: Step, job: Job) -> list[str]:
    """The requirements that only the backend knows, as strings."""
    from backend import get_requires

    requires: list[str] = get_requires(step, job)
    return requires


def do_wheel(step: Step, job: Job) -> str:
    """The file name of the wheel below /out."""
    from backend import build_wheel

    wheel: str = build_wheel(step, job)
    return wheel


def do_run(step: Step, job: Job) -> None:
    """Run a program of the spec's [test]."""
    check_end(end_of(start(step["argv"], step.get("cwd", job["cwd"]), job["env"])))


def do_shell(step: Step, job: Job) -> None:
    """Run a program that a person talks to; how it ends is the person's business."""
    if step["size"]:
        from terminal import talk_to

        talk_to(step["argv"], job["cwd"], job["env"], step["size"])
    else:
        end_of(start(step["argv"], job["cwd"], job["env"], quiet=False))


DO: dict[str, Callable[[Step, Job], Any]] = {
    "requires": do_requires,
    "wheel": do_wheel,
    "run": do_run,
    "shell": do_shell,
}
