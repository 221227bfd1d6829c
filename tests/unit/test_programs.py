"""What runs inside: bytecode that any Python of this kind takes, and the words in which a backend is called."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pyproject_hooks import BuildBackendHookCaller

from pybuilder.sandbox import host, talk
from pybuilder.sandbox.programs import programs

HERE = Path(host.__file__).parent
MODULES = ("backend", "confine", "parallel", "serve", "steady", "steps", "talk", "terminal")
SCRIPT = "pyproject_hooks/_in_process/_in_process.py"


@pytest.fixture
def laid_out(tmp_path: Path) -> Path:
    for name, data in programs().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


class TestBytecode:
    @pytest.mark.parametrize("name", [*(f"{module}.py" for module in MODULES), SCRIPT])
    def test_it_is_taken_without_a_look_at_the_source(self, laid_out: Path, name: str) -> None:
        path = laid_out / name
        assert Path(cache_from_source(str(path))).exists()
        path.write_text("raise AssertionError('compiled')")
        code = SourceFileLoader("x", str(path)).get_code("x")
        assert code and "AssertionError" not in code.co_names
        assert code.co_filename == str(path)

    def test_it_names_no_place_of_ours(self) -> None:
        """Which a build could read."""
        assert not [name for name, data in programs().items() if str(HERE).encode() in data]

    def test_of_another_format_the_source_is_compiled(self, laid_out: Path) -> None:
        path = laid_out / "steps.py"
        cached = Path(cache_from_source(str(path)))
        cached.write_bytes(b"\0\0\r\n" + cached.read_bytes()[4:])
        path.write_text("raise AssertionError('compiled')")
        code = SourceFileLoader("x", str(path)).get_code("x")
        assert code and "AssertionError" in code.co_names

    def test_all_that_is_imported_has_some(self) -> None:
        sources = {name for name in programs() if name.endswith(".py")}
        assert sources == {*(f"{module}.py" for module in MODULES), "inside.py", "hooks.py", SCRIPT}
        assert len(programs()) == len(sources) + len(MODULES) + 1


VALUE = {"a": [1, -2.5, True, False, None, [], {}], 'q"\\/\n\x00\x1f\x7f': "é\u2028\U0001f600", "": ""}


class TestJson:
    def test_what_is_said(self) -> None:
        assert json.loads(talk.to_json(VALUE)) == VALUE
        assert json.loads(talk.to_json(("a", 1))) == ["a", 1]
        assert talk.to_json([1, True]) == "[1,true]"
        assert "\n" not in talk.to_json(VALUE)

    @pytest.mark.parametrize("ascii_only", [True, False])
    @pytest.mark.parametrize("accelerated", [True, False])
    def test_what_is_heard(self, monkeypatch: pytest.MonkeyPatch, ascii_only: bool, accelerated: bool) -> None:
        if not accelerated:
            monkeypatch.setitem(sys.modules, "_json", None)
        text = json.dumps(VALUE, ensure_ascii=ascii_only, indent=2)
        assert talk.from_json(f" {text}\n") == VALUE
        assert str(talk.from_json("[NaN, -Infinity, 1e5]")) == "[nan, -inf, 100000.0]"
        for wrong in ("", "{", "[1] 2", "nothing", "[1,]", '"\n"', "{'a': 1}"):
            with pytest.raises(ValueError):
                talk.from_json(wrong)

    def test_an_answer_of_great_depth(self) -> None:
        with pytest.raises(RecursionError):
            talk.from_json("[" * 200_000)


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, as it is imported inside."""
    monkeypatch.syspath_prepend(str(HERE))
    for name in ("backend", "steps", "talk", "confine"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module("backend")
    for name in ("backend", "steps", "talk", "confine"):
        monkeypatch.setitem(sys.modules, name, sys.modules.pop(name))
    return module


class Played:
    """The script of pyproject-hooks, which tells how it was called."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.directory = Path()
        self.called: list[Any] = []

    def call(self, arguments: Sequence[str]) -> int:
        hook, directory = arguments
        self.directory = Path(directory)
        assert self.directory.stat().st_mode & 0o777 == 0o700
        self.called.append((hook, json.loads((self.directory / "input.json").read_bytes())))
        (self.directory / "output.json").write_text(json.dumps(self.answer))
        return 0


HOOKS = {
    "get_requires_for_build_wheel": {"config_settings": {"a": ["é", "b"]}},
    "build_wheel": {"wheel_directory": "/out", "config_settings": None, "metadata_directory": None},
}


class TestCaller:
    """Beside that of pyproject-hooks, whose script is called: where that learns other words, ours must as well."""

    @pytest.mark.parametrize("paths", [[], [".", "sub/../in tree"]])
    @pytest.mark.parametrize("hook", HOOKS)
    def test_the_same_words(self, backend: ModuleType, tmp_path: Path, hook: str, paths: list[str]) -> None:
        theirs, ours = Played({"return_val": "x"}), Played({"return_val": "x"})
        environments: list[Any] = []

        def runner(cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
            environments.append(dict(extra_environ or {}))
            assert (cmd[0], Path(cmd[1]).name, cwd) == ("python", "_in_process.py", str(tmp_path))
            theirs.call(cmd[2:])

        caller = BuildBackendHookCaller(str(tmp_path), "some:api", paths or None, runner, "python")
        arguments = dict(HOOKS[hook])
        first = [arguments.pop("wheel_directory")] if "wheel_directory" in arguments else []
        assert getattr(caller, hook)(*first, **arguments) == "x"

        step = {"backend": "some:api", "backend_path": paths}
        assert backend.call_hook(step, {"hooks": ours, "cwd": str(tmp_path)}, hook, HOOKS[hook]) == "x"
        assert ours.called == theirs.called
        decoded = [self.decoded(each) for each in (*environments, backend.environ(step, str(tmp_path)))]
        assert decoded[0] == decoded[1]

    @staticmethod
    def decoded(environ: dict[str, str]) -> dict[str, Any]:
        return {name: json.loads(value) if name.endswith("JSON") else value for name, value in environ.items()}

    @pytest.mark.parametrize("path", ["/etc", "..", "a/../..", "../x"])
    def test_a_backend_outside_of_the_tree(self, backend: ModuleType, tmp_path: Path, path: str) -> None:
        with pytest.raises(ValueError, match="paths must be") as theirs:
            BuildBackendHookCaller(str(tmp_path), "some", [path])
        with pytest.raises(backend.StepFailed) as ours:
            backend.environ({"backend": "some", "backend_path": [path]}, str(tmp_path))
        assert str(ours.value) == f"backend-path in pyproject.toml: {theirs.value}"

    @pytest.mark.parametrize(
        ("answer", "failure"),
        [
            ({"no_backend": True, "traceback": "Trace\nNo: x"}, "the build backend can't be imported: No: x"),
            ({"no_backend": True, "traceback": None}, "the build backend can't be imported: None"),
            ({"unsupported": True, "traceback": "Trace"}, "the backend says that it can't build a wheel"),
            ({"hook_missing": True}, "the backend has no such hook"),
            ({}, "the backend's answer can't be read: KeyError"),
            ([], "the backend's answer can't be read: AttributeError"),
            ({"return_val": 1, "warnings": [3]}, "the backend's answer can't be read: TypeError"),
        ],
    )
    def test_other_answers(self, backend: ModuleType, answer: Any, failure: str) -> None:
        played = Played(answer)
        with pytest.raises(backend.StepFailed, match=failure):
            backend.call_hook({"backend": "b", "backend_path": []}, {"hooks": played, "cwd": "/"}, "build_wheel", {})
        assert not played.directory.exists()

    def test_warnings_are_shown(self, backend: ModuleType) -> None:
        told = {"message": "old", "filename": "setup.py", "lineno": 3}
        played = Played({"return_val": "x", "warnings": [told]})
        with pytest.warns(UserWarning, match="old") as shown:
            backend.call_hook({"backend": "b", "backend_path": []}, {"hooks": played, "cwd": "/"}, "build_wheel", {})
        assert (shown[0].category.__name__, shown[0].filename, shown[0].lineno) == (
            "BuildBackendWarning",
            "setup.py",
            3,
        )

    def test_nothing_is_left_for_the_next_hook(self, backend: ModuleType) -> None:
        class Littering(Played):
            def call(self, arguments: Sequence[str]) -> int:
                (Path(arguments[1]) / "sub" / "sub").mkdir(parents=True)
                (Path(arguments[1]) / "link").symlink_to("/etc")
                return super().call(arguments)

        played = Littering({"return_val": "x"})
        step = {"backend": "b", "backend_path": []}
        assert backend.call_hook(step, {"hooks": played, "cwd": "/"}, "build_wheel", {}) == "x"
        assert not played.directory.exists()
        assert Path("/etc/passwd").exists()
