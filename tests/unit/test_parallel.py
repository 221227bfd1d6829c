"""When compiling side by side is safe; distutils is played here, test_parallel_builds.py has the real one."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pybuilder.sandbox.parallel import Finder, are_apart, build_overlapping, is_plain, passes_on, share_objects


def extension(name: str, *sources: str, libraries: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(name=name, sources=list(sources), libraries=list(libraries))


class Library(SimpleNamespace):
    pass


class TestExtensions:
    def test_apart(self) -> None:
        assert are_apart([extension("a.x", "a/x.c", "a/y.c"), extension("a.z", "a/z.c", libraries=("m",))])

    @pytest.mark.parametrize(
        "other",
        [
            extension("b", "a.c"),
            extension("b", "./a.cpp"),
            extension("a", "b.c"),
            extension("b", "b.c", libraries=("a",)),
            Library(name="b", sources=["b.c"], libraries=[]),
            SimpleNamespace(name="b", sources=iter(["b.c"]), libraries=[]),
        ],
    )
    def test_not_apart(self, other: Any) -> None:
        assert not are_apart([extension("x.a", "a.c") if other.name == "b" else extension("a", "a.c"), other])


class build_ext:
    def build_extension(self, ext: Any) -> None: ...


class BuildFailed(Exception):
    pass


class TestOverrides:
    def test_those_that_pass_on(self) -> None:
        class Optional(build_ext):
            def build_extension(self, ext: Any) -> None:
                try:
                    build_ext.build_extension(self, ext)
                except (OSError, ValueError):
                    raise BuildFailed() from None

        class Modern(build_ext):
            def build_extension(self, ext: Any) -> None:
                super().build_extension(ext)

        for kind in (Optional, Modern):
            assert passes_on(kind.build_extension, kind.__mro__)

    def test_those_that_do_more(self) -> None:
        class Flags(build_ext):
            def build_extension(self, ext: Any) -> None:
                self.compiler = None
                super().build_extension(ext)

        class Elsewhere(build_ext):
            def build_extension(self, ext: Any) -> None:
                contextlib.chdir("/")

        class Hidden(build_ext):
            def build_extension(self, ext: Any) -> None:
                (lambda: exit())()

        for kind in (Flags, Elsewhere, Hidden):
            assert not passes_on(kind.build_extension, kind.__mro__)
        assert not passes_on(print, ())

    def test_those_that_are_known(self) -> None:
        def build_extension(self: Any, ext: Any) -> None:
            self.anything()

        build_extension.__module__ = "setuptools.command.build_ext"
        assert passes_on(build_extension, ())


class Compiler:
    """Like distutils' own."""

    compiler_type = "unix"

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.busy, self.most, self.lock = 0, 0, threading.Lock()
        self.both = threading.Barrier(2)

    def compile(self, sources: list[str], output_dir: str = "") -> list[str]:
        with self.lock:
            self.calls.append(sources)
            self.busy += 1
            self.most = max(self.most, self.busy)
        if len(sources) == 1 and "wait" in sources[0]:
            self.both.wait(10)
        with self.lock:
            self.busy -= 1
        if "bad.c" in sources:
            raise ValueError(sources)
        return [f"{output_dir}/{source[:-2]}.o" for source in sources]

    def object_filenames(self, sources: list[str]) -> list[str]:
        return [f"{source.rpartition('.')[0]}.o" for source in sources]

    def _compile(self) -> None: ...


Compiler._compile.__module__ = "distutils.unixccompiler"
Compiler.object_filenames.__module__ = "setuptools._distutils.ccompiler"


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Compiler:
    """One whose class compiles side by side."""
    monkeypatch.setattr("pybuilder.sandbox.parallel._COMPILING", ("_compile", "object_filenames"))
    changed = type("Compiler", (Compiler,), {})
    share_objects(SimpleNamespace(CCompiler=changed), cpus=2)
    made: Compiler = changed()
    return made


class TestObjects:
    def test_side_by_side_in_the_order_of_sources(self, compiler: Compiler) -> None:
        sources = [f"wait{n}.c" for n in range(6)]
        assert compiler.compile(sources, output_dir="t") == [f"t/wait{n}.o" for n in range(6)]
        assert sorted(compiler.calls) == [[source] for source in sources]
        assert compiler.most == 2

    def test_the_first_error_counts(self, compiler: Compiler) -> None:
        with pytest.raises(ValueError, match=r"bad\.c"):
            compiler.compile(["a.c", "bad.c", "b.c"])

    def test_two_of_one_name_are_left_alone(self, compiler: Compiler) -> None:
        compiler.compile(["a.c", "a.cpp"])
        assert compiler.calls == [["a.c", "a.cpp"]]

    def test_a_compiler_that_somebody_changed_is_left_alone(self, compiler: Compiler) -> None:
        compiler._compile = lambda: None  # type: ignore[method-assign]
        compiler.compile(["a.c", "b.c"])
        assert compiler.calls == [["a.c", "b.c"]]

    @pytest.mark.parametrize("change", [{"compiler_type": "msvc"}, {"_compile": lambda self: None}, {"_compile": None}])
    def test_so_is_its_class(self, change: dict[str, Any]) -> None:
        assert is_plain(Compiler(), ("_compile", "object_filenames"))
        assert not is_plain(type("Other", (Compiler,), change)(), ("_compile", "object_filenames"))


class TestOverlapping:
    """Extensions come to their first compilation in order, one at a time; from there on they overlap."""

    def command(self, compiler: Compiler, *names: str) -> Any:
        told: list[str] = []

        @contextlib.contextmanager
        def errors(ext: Any) -> Iterator[None]:
            try:
                yield
            except ValueError:
                told.append(f"{ext.name} failed")
                if not ext.name.startswith("optional"):
                    raise

        def build_extension(ext: Any) -> None:
            told.append(f"{ext.name} begun")
            compiler.compile(ext.sources)

        extensions = [extension(name, f"{name}.c") for name in names]
        return SimpleNamespace(
            extensions=extensions, build_extension=build_extension, _filter_build_errors=errors, told=told
        )

    def test_in_order(self, compiler: Compiler) -> None:
        command = self.command(compiler, *(f"wait{n}" for n in range(6)))
        build_overlapping(command, 2)
        assert command.told == [f"wait{n} begun" for n in range(6)]
        assert compiler.most == 2

    def test_an_optional_one_may_fail(self, compiler: Compiler) -> None:
        command = self.command(compiler, "a", "optional", "b")
        command.extensions[1].sources = ["bad.c"]
        build_overlapping(command, 2)
        assert "optional failed" in command.told

    def test_another_ends_it(self, compiler: Compiler) -> None:
        command = self.command(compiler, "bad", *(f"n{n}" for n in range(50)))
        with pytest.raises(ValueError, match=r"bad\.c"):
            build_overlapping(command, 2)
        assert len(command.told) < 50


class TestFinder:
    def test_a_module_is_changed_as_it_comes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "pybuild_changed.py").write_text("VALUE = 1\n")
        monkeypatch.syspath_prepend(tmp_path)

        def change(module: ModuleType) -> None:
            module.VALUE += 1

        monkeypatch.setattr(sys, "meta_path", [Finder({"pybuild_changed": change}), *sys.meta_path])
        module = importlib.import_module("pybuild_changed")
        assert module.VALUE == 2
        assert importlib.reload(module).VALUE == 2
        monkeypatch.delitem(sys.modules, "pybuild_changed")

    def test_what_is_not_there_is_not_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "meta_path", [Finder({"pybuild_missing": print}), *sys.meta_path])
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("pybuild_missing")
