"""Lets setuptools and distutils compile with all the processors that their build was given.

Runs inside, like ``inside.py``: standard library only, and no import of pybuild. Where something imports a compiler or
``build_ext``, these are changed as they come; nothing is imported that nobody asked for.

What comes out is what would come out one by one: each object is made by the same call, the linker gets the objects in
the order of the sources, and extensions come to their first compilation in their order, so that Cython and whatever
else a package does before never runs twice at a time. A compiler or a command that somebody has changed, so that more
than objects may depend on the order, is left alone.
"""

from __future__ import annotations

import builtins
import functools
import os
import sys
from _thread import _local
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

# setuptools' own copy has either name.
_DISTUTILS = ("distutils.", "setuptools._distutils.")
_BUILD_EXT = ("distutils.command.build_ext", "setuptools._distutils.command.build_ext")
_COMMANDS = (
    *_BUILD_EXT,
    "setuptools.command.build_ext",
    "Cython.Distutils.build_ext",
    "Cython.Distutils.old_build_ext",
)
_COMPILING = ("_compile", "_setup_compile", "_fix_compile_args", "_get_cc_args", "object_filenames", "spawn")
_LINKING = ("link", "link_shared_object")

_here = _local()


def share(cpus: int) -> None:
    """Change what is imported from now on."""
    compilers = {f"{package}ccompiler": functools.partial(share_objects, cpus=cpus) for package in _DISTUTILS}
    commands = {name: functools.partial(share_extensions, cpus=cpus) for name in _BUILD_EXT}
    sys.meta_path.insert(0, Finder({**compilers, **commands}))


class Finder:
    """Stands before all other finders, finds nothing itself, and changes some of the modules that they find."""

    def __init__(self, changes: dict[str, Callable[[Any], None]]) -> None:
        self.changes = changes

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """What another finder says, with a loader that also makes our change (``importlib.abc.MetaPathFinder``)."""
        change = self.changes.get(name)
        if change is None:
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                execute(module)
                change(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def share_objects(module: Any, *, cpus: int) -> None:
    """Let ``CCompiler.compile`` make several objects at once, ``cpus`` of them in this process."""
    import threading

    one_by_one = module.CCompiler.compile
    slots = threading.BoundedSemaphore(cpus)

    @functools.wraps(one_by_one)
    def compile_(self: Any, sources: Iterable[Any], *arguments: Any, **keywords: Any) -> Any:
        if ready := getattr(_here, "ready", None):
            ready.set()
        sources = list(sources)
        if not (is_plain(self, _COMPILING) and all_differ(self.object_filenames(sources))):
            return one_by_one(self, sources, *arguments, **keywords)

        def one(source: Any) -> Any:
            with slots:
                return one_by_one(self, [source], *arguments, **keywords)

        return [made for objects in side_by_side(one, sources, cpus) for made in objects]

    module.CCompiler.compile = compile_


def share_extensions(module: Any, *, cpus: int) -> None:
    """Let ``build_ext.build_extensions`` build an extension while those before it are compiled and linked."""
    base = module.build_ext
    one_by_one = base.build_extensions

    @functools.wraps(one_by_one)
    def build_extensions(self: Any) -> Any:
        self.check_extensions_list(self.extensions)
        if self.parallel or not is_independent(self, base):
            return one_by_one(self)
        return build_overlapping(self, cpus)

    base.build_extensions = build_extensions


def build_overlapping(command: Any, cpus: int) -> None:
    """Build all extensions of a command, each once the one before it compiles."""
    import threading
    from concurrent.futures import Future, ThreadPoolExecutor

    def build(extension: Any, ready: threading.Event) -> None:
        _here.ready = ready
        try:
            command.build_extension(extension)
        finally:
            _here.ready = None
            ready.set()

    def take(extension: Any, built: Future[None]) -> None:
        with command._filter_build_errors(extension):
            built.result()

    with ThreadPoolExecutor(cpus) as pool:
        pending: deque[tuple[Any, Future[None]]] = deque()
        for extension in command.extensions:
            ready = threading.Event()
            pending.append((extension, pool.submit(build, extension, ready)))
            ready.wait()
            while pending and pending[0][1].done():
                take(*pending.popleft())
        while pending:
            take(*pending.popleft())


def side_by_side(function: Callable[[Any], Any], values: Sequence[Any], cpus: int) -> list[Any]:
    """What a function makes of each value, in order; of several errors the first one's is raised."""
    if len(values) < 2:
        return [function(value) for value in values]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(cpus, len(values))) as pool:
        return list(pool.map(function, values))


def is_plain(compiler: Any, methods: Iterable[str]) -> bool:
    """Whether a compiler is distutils' own for Unix, with these methods as they came."""
    found = [getattr(type(compiler), name, None) for name in methods]
    return (
        compiler.compiler_type == "unix"
        and vars(compiler).keys().isdisjoint(methods)
        and all(str(getattr(each, "__module__", "")).startswith(_DISTUTILS) for each in found)
        and not any(hasattr(each, "__wrapped__") for each in found)
    )


def is_independent(command: Any, base: Any) -> bool:
    """Whether the extensions of a ``build_ext`` have nothing to do with each other, and nobody has a hand in it."""
    classes = type(command).__mro__
    overrides = [vars(kind)["build_extension"] for kind in classes if "build_extension" in vars(kind)]
    return (
        len(command.extensions) > 1
        and are_apart(command.extensions)
        and is_plain(command.compiler, (*_COMPILING, *_LINKING))
        and type(command)._build_extensions_serial is base._build_extensions_serial
        and "build_extension" not in vars(command)
        and all(passes_on(override, classes) for override in overrides)
    )


def are_apart(extensions: Sequence[Any]) -> bool:
    """Whether no extension is made of another's sources or linked with another."""
    if not all(isinstance(each.sources, (list, tuple)) for each in extensions):
        return False
    stems = [os.path.abspath(os.path.splitext(source)[0]) for each in extensions for source in each.sources]
    libraries = {library for each in extensions for library in each.libraries or ()}
    kinds = {kind.__name__ for each in extensions for kind in type(each).__mro__}
    return (
        all_differ(stems)  # else two would write one object
        and all_differ([each.name for each in extensions])
        and libraries.isdisjoint(each.name.rpartition(".")[2] for each in extensions)
        and "Library" not in kinds  # of setuptools: made to be linked with
    )


def passes_on(method: Any, classes: Sequence[type]) -> bool:
    """Whether an override of ``build_extension`` is known, or does no more than call its base and turn errors.

    Many packages have one so that they build without their extensions where there is no compiler.
    """
    if getattr(method, "__module__", "") in _COMMANDS:
        return True
    code = getattr(method, "__code__", None)
    if code is None or any(hasattr(constant, "co_code") for constant in code.co_consts):
        return False
    known = {**vars(builtins), **method.__globals__}
    values = [known.get(name) for name in set(code.co_names) - {"super", "build_extension"}]
    return all(isinstance(each, type) and (issubclass(each, BaseException) or each in classes) for each in values)


def all_differ(values: Sequence[Any]) -> bool:
    """Whether no value stands twice in a list."""
    return len(set(values)) == len(values)
