"""The steps that call a build backend (PEP 517).

Runs inside, like ``inside.py``: standard library only, and no import of pybuild. To the script of
pyproject-hooks that calls the backend it is what ``pyproject_hooks.BuildBackendHookCaller`` is, in the same words:
importing that one takes longer than many a hook.
"""

from __future__ import annotations

import os
from _signal import SIGKILL

from steps import HERE, StepFailed, check_end, end_of, start
from talk import from_json, to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    Step = Mapping[str, Any]
    Job = dict[str, Any]

PYTHON = "/env/bin/python"
SCRIPT = os.path.join(HERE, "pyproject_hooks", "_in_process", "_in_process.py")


def get_requires(step: Step, job: Job) -> list[str]:
    """The requirements that only the backend knows, as strings."""
    requires: list[str] = call_hook(
        step, job, "get_requires_for_build_wheel", {"config_settings": step["config_settings"]}
    )
    if not isinstance(requires, list) or not all(isinstance(r, str) for r in requires):
        raise StepFailed("get_requires_for_build_wheel returned something other than a list of strings")
    return requires


def build_wheel(step: Step, job: Job) -> str:
    """The file name of the wheel below /out."""
    settings = {"config_settings": step["config_settings"], "metadata_directory": None}
    return file_name(call_hook(step, job, "build_wheel", {"wheel_directory": "/out", **settings}), "build_wheel")


def file_name(value: object, hook: str) -> str:
    """What a hook returned where PEP 517 wants the base name of what it made."""
    if not isinstance(value, str) or value != os.path.basename(value) or not value.isprintable() or not value:
        raise StepFailed(f"{hook} returned {value!r:.200} where a file name belongs")
    return value


def call_hook(step: Step, job: Job, hook: str, arguments: Mapping[str, Any]) -> Any:
    """What a hook returns; what else comes of it becomes a sentence, what the backend printed is in the log already."""
    if "hooks" not in job:
        program = [PYTHON, os.path.join(HERE, "hooks.py"), str(job["cpus"]), SCRIPT]
        job["hooks"] = Hooks(program, job["cwd"], {**job["env"], **environ(step, job["cwd"])})
    try:
        with ControlDirectory() as directory:
            directory.write(arguments)
            check_end(job["hooks"].call([hook, directory.path]))
            answer = directory.read()
        if failure := failure_of(answer):
            show(answer.get("traceback", ""))
            raise StepFailed(failure)
        warn(answer.get("warnings", ()))
        return answer["return_val"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, MemoryError) as error:
        # The answer comes through files that the backend's processes can write and remove.
        raise StepFailed(f"the backend's answer can't be read: {type(error).__name__}: {error}") from error


def environ(step: Step, cwd: str) -> dict[str, str]:
    """By which variables the script knows the backend."""
    variables = {"_PYPROJECT_HOOKS_BUILD_BACKEND": step["backend"]}
    if step["backend_path"]:
        variables["_PYPROJECT_HOOKS_BACKEND_PATH_JSON"] = to_json(list(inside_tree(step["backend_path"], cwd)))
    return variables


def inside_tree(paths: Sequence[str], tree: str) -> Iterator[str]:
    """The directories of a backend that is part of what it builds (PEP 517, "In-tree build backends")."""
    tree = os.path.abspath(tree)
    for path in paths:
        found = os.path.normpath(os.path.join(tree, path))
        if os.path.isabs(path):
            raise StepFailed("backend-path in pyproject.toml: paths must be relative")
        if os.path.commonpath([tree, found]) != tree:
            raise StepFailed("backend-path in pyproject.toml: paths must be inside source tree")
        yield found


def failure_of(answer: Mapping[str, Any]) -> str:
    """Why a backend gave no result, a sentence; empty if it gave one."""
    if answer.get("unsupported"):
        return "the backend says that it can't build a wheel"
    if answer.get("no_backend"):
        detail = str(answer.get("traceback", "")).strip().rpartition("\n")[2]
        return f"the build backend can't be imported: {detail}"
    return "the backend has no such hook" if answer.get("hook_missing") else ""


def show(text: object) -> None:
    """Put a backend's words into the log, whatever characters are in them."""
    os.write(1, f"{text}\n".encode("utf-8", "backslashreplace"))


class BuildBackendWarning(UserWarning):
    """What a backend warned of; Python puts the name into the log."""


def warn(warnings_: Sequence[Mapping[str, Any]]) -> None:
    """Put what a backend warned of into the log."""
    if not warnings_:
        return
    import warnings

    for each in warnings_:
        warnings.warn_explicit(each["message"], BuildBackendWarning, each["filename"], each["lineno"])


class ControlDirectory:
    """Through which the script gets a hook's arguments and gives its answer; nothing of it is left for another hook."""

    def __init__(self) -> None:
        self.path = f"/tmp/tmp{os.urandom(4).hex()}"

    def __enter__(self) -> ControlDirectory:
        os.mkdir(self.path, 0o700)
        return self

    def __exit__(self, *error: object) -> None:
        try:
            for name in os.listdir(self.path):
                os.unlink(os.path.join(self.path, name))
            os.rmdir(self.path)
        except OSError:
            # A backend has put something else there.
            import shutil

            shutil.rmtree(self.path)

    def write(self, arguments: Mapping[str, Any]) -> None:
        """Say with which arguments a hook is called."""
        with open(os.path.join(self.path, "input.json"), "w", encoding="utf-8") as file:
            file.write(to_json({"kwargs": arguments}))

    def read(self) -> Any:
        """What became of it."""
        with open(os.path.join(self.path, "output.json"), encoding="utf-8") as file:
            return from_json(file.read())


class Hooks:
    """``hooks.py``, started once for all hooks of a backend; it ends when this process does."""

    def __init__(self, program: Sequence[str], cwd: str, env: Mapping[str, str]) -> None:
        reader, requests = os.pipe()
        results, writer = os.pipe()
        for theirs in (reader, writer):
            os.set_inheritable(theirs, True)
        self.process = start([*program, str(reader), str(writer)], cwd, env)
        self.code: int | None = None
        os.close(reader)
        os.close(writer)
        self.requests, self.results = os.fdopen(requests, "w"), os.fdopen(results)

    def call(self, arguments: Sequence[str]) -> int:
        """How the hook ended, less than nothing for a signal; as what it was forked from, if that has ended."""
        try:
            self.requests.write(to_json(arguments) + "\n")
            self.requests.flush()
        except BrokenPipeError:
            pass
        try:
            return int(self.results.readline())
        except ValueError:
            return self.end_code()

    def end_code(self) -> int:
        """How it ended, once it has."""
        if self.code is None:
            self.code = end_of(self.process)
        return self.code

    def end(self) -> None:
        """End it; it has nothing to finish."""
        if self.code is None:
            os.kill(self.process, SIGKILL)
            self.end_code()
