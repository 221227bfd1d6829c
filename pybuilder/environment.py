"""Build environments: virtual environments of exactly the payloads that a build requires, linked together in no time.

Every payload is unpacked once for each minor version of Python, as a tree beside it in the store, whose name is the
number of its files: one that has lost some is made again. An environment is those trees hard-linked into one directory.
The sandbox shows it at ``/env``, read-only, so that its scripts are written once.
"""

from __future__ import annotations

import errno
import filecmp
import os
import platform
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pybuilder.compilers import Compilers
from pybuilder.errors import BuildError, StateError
from pybuilder.files import atomic_dir, disk_errors, file_lock, remove_tree, sync_filesystem
from pybuilder.layout import Layout
from pybuilder.names import minor_version
from pybuilder.plan import ENVIRONMENT_PATH, Ingredient, digest
from pybuilder.store import Store
from pybuilder.usage import use
from pybuilder.wheel.filename import WheelName

_FORMAT = 2  # of trees and environments: raise it when either would come out differently


@dataclass(frozen=True, kw_only=True, slots=True)
class PythonTarget:
    """The interpreter that an environment is for.

    Attributes:
        executable: Its absolute path inside the sandbox, such as ``/usr/bin/python3.14``; not one in a virtual
            environment.
        version: Its full version, such as ``3.14.2``.
    """

    executable: str
    version: str

    @property
    def minor(self) -> str:
        """``3.14``."""
        return minor_version(self.version)


@dataclass(frozen=True, kw_only=True, slots=True)
class PayloadRef:
    """A payload in the store.

    Attributes:
        sha256: Its digest.
        path: The file, under its own name.
    """

    sha256: str
    path: Path


@dataclass(frozen=True, slots=True)
class Environments:
    """The build environments of one state; safe to use from several processes and threads at once.

    Attributes:
        layout: Where they lie.
        compilers: Make their bytecode.
    """

    layout: Layout
    compilers: Compilers = field(default_factory=Compilers)

    def prepare(self, payloads: Sequence[PayloadRef], *, python: PythonTarget, bytecode: bool = True) -> Path:
        """A virtual environment that holds these payloads and nothing else, made unless it is there.

        Args:
            payloads: The payloads, all in the store, in any order.
            python: The interpreter.
            bytecode: Whether it is worth compiling: build environments are used again and again, an install test once.

        Returns:
            The environment's directory, readable by everybody; nothing may write to it.

        Raises:
            BuildError: A payload is damaged, or two of them can't be installed together.
            StateError: The disk is full or can't be written.
        """
        ordered = sorted(payloads, key=lambda payload: payload.sha256)
        sha256s = [payload.sha256 for payload in ordered]
        facts = [_FORMAT, python.executable, python.version, sha256s]
        compiled = self.layout.environment(digest(facts))
        plain = self.layout.environment(digest([*facts, "source"]))
        for environment in (compiled,) if bytecode else (compiled, plain):
            if use(self.layout, environment):
                return environment
        _check_projects(ordered)
        trees = [self.unpack(payload, python=python, bytecode=bytecode) for payload in ordered]
        # What has bytecode anyhow becomes the environment of a build, which may want the same one.
        places = [self._compiled(payload, python) for payload in ordered]
        environment = compiled if [tree.parent for tree in trees] == places else plain
        with disk_errors(environment), file_lock(self.layout.lock(f"environment-{environment.name}")):
            # Somebody else may have made it while we waited.
            if not use(self.layout, environment):
                self._make(environment, ordered, trees, python)
        return environment

    def _make(
        self, environment: Path, payloads: Sequence[PayloadRef], trees: Sequence[Path], python: PythonTarget
    ) -> None:
        with atomic_dir(environment) as fresh:
            _write_skeleton(fresh, python)
            for index, tree in enumerate(trees):
                for path in _link_tree(str(tree), str(fresh)):
                    others = (payloads[i].path.name for i in range(index) if os.path.lexists(trees[i] / path))
                    raise _clash(path, payloads[index].path.name, next(others, "the environment itself"))

    def unpack(self, payload: PayloadRef, *, python: PythonTarget, bytecode: bool = True) -> Path:
        """The payload, unpacked as it lies in an environment; one with bytecode serves where none is asked for.

        Args:
            payload: A payload in the store.
            python: The interpreter.
            bytecode: As for an environment.

        Raises:
            BuildError: The payload is damaged.
            StateError: The disk is full or can't be written, or somebody has removed what was just written.
        """
        compiled = self._compiled(payload, python)
        plain = compiled.with_name(f"{compiled.name}-source")
        place = compiled if bytecode else plain
        if tree := _whole(compiled) or _whole(place):
            return tree
        with disk_errors(place), file_lock(self.layout.lock(f"tree-{payload.sha256}-py{python.minor}")):
            # Whoever held the lock may have made either.
            if tree := _whole(compiled) or _whole(place):
                return tree
            if Store(self.layout).sound_payload(payload.sha256) is None:
                raise _damaged(payload)
            remove_tree(place)
            with atomic_dir(place) as fresh:
                files = self._fill(fresh / "tree", payload, python, plain=_whole(plain), bytecode=bytecode)
                (fresh / "tree").rename(fresh / str(files))
                sync_filesystem(fresh)
        return place / str(files)

    def _fill(
        self, tree: Path, payload: PayloadRef, python: PythonTarget, *, plain: Path | None, bytecode: bool
    ) -> int:
        """Make a tree of a payload, from the one without bytecode where there is one; the number of its files."""
        from pybuilder.wheel.unpack import unpack

        tree.mkdir()
        if plain:
            _copy_links(plain, tree)
            files = int(plain.name)
        else:
            files = unpack(payload.path, tree, python=python.minor, interpreter=f"{ENVIRONMENT_PATH}/bin/python")
        if bytecode:
            self._compile(payload, tree, python)
        _set_modes(tree)
        if _count(tree, bytecode=False) < files:
            raise StateError(
                f"somebody has removed files of {payload.path.name} while it was unpacked",
                where=str(tree),
                cure="run the same command again",
            )
        return _count(tree)

    def foresee(
        self, name: str, version: str, modules: Callable[[], Mapping[str, bytes]], *, python: PythonTarget
    ) -> None:
        """Compile ahead what a payload will most likely have, while nothing else is there to do; returns at once.

        Args:
            name: The payload's project, normalised.
            version: Its version, as ``str`` makes it of a ``Version``.
            modules: Its modules, by path below site-packages; asked in another thread.
            python: The interpreter.
        """
        if site_packages := _compiled_site_packages(python):
            where = f"{ENVIRONMENT_PATH}/{site_packages}"
            self.compilers.foresee(
                f"{name} {version}", lambda: {f"{where}/{path}": source for path, source in modules().items()}
            )

    def _compile(self, payload: PayloadRef, tree: Path, python: PythonTarget) -> None:
        """Add bytecode, so that a backend is not compiled again in each hook, which halves what most of them take."""
        if site_packages := _compiled_site_packages(python):
            wheel = WheelName.parse(payload.path.name)
            self.compilers.compile(
                f"{wheel.name} {wheel.version}", str(tree), str(tree / site_packages), there=ENVIRONMENT_PATH
            )

    def _compiled(self, payload: PayloadRef, python: PythonTarget) -> Path:
        """Where the tree of a payload with bytecode is."""
        return self.layout.payload(payload.sha256) / f"tree-{_FORMAT}-py{python.minor}"


def _compiled_site_packages(python: PythonTarget) -> str:
    """Where in a tree there are modules to compile; empty for another minor version, which can't read our bytecode."""
    return f"lib/python{python.minor}/site-packages" if python.minor == minor_version(platform.python_version()) else ""


def _whole(place: Path) -> Path | None:
    """The tree in a place, if it has as many files as it had when it was made."""
    try:
        [name] = os.listdir(place)
        tree = place / name
        return tree if str(_count(tree)) == name else None
    except (OSError, ValueError):
        return None


def _count(tree: Path, *, bytecode: bool = True) -> int:
    """The files below a directory, by listing directories only."""
    files, pending = 0, [str(tree)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    files += 1
                elif bytecode or entry.name != "__pycache__":
                    pending.append(entry.path)
    return files


def freeze(environment: Iterable[Ingredient]) -> str:
    """A plan's environment as requirements with digests, one a line in order of name, in the form that pip reads."""
    return "".join(f"{each.name}=={each.version} --hash=sha256:{each.payload}\n" for each in sorted(environment))


def _check_projects(payloads: Sequence[PayloadRef]) -> None:
    """Refuse two payloads of one project: their files might never meet, but only one of them could be meant."""
    seen: dict[str, str] = {}
    for payload in payloads:
        other = seen.setdefault(WheelName.parse(payload.path.name).name, payload.path.name)
        if other != payload.path.name:
            raise BuildError(
                f"{other} and {payload.path.name} are the same project",
                cure="a build environment takes one version of each: look at the build requirements",
            )


def _damaged(payload: PayloadRef) -> StateError:
    return StateError(
        f"{payload.path.name} is damaged in the store, and was set aside",
        where=str(payload.path),
        cure="run the same command again: it will be built again",
    )


def _clash(path: str, one: str, other: str) -> BuildError:
    return BuildError(
        f"{one} and {other} both have {path}, with other contents",
        cure="they can't be in one build environment: remove one of them from the build requirements",
    )


def _write_skeleton(root: Path, python: PythonTarget) -> None:
    """What makes a directory a virtual environment (PEP 405), as the venv module lays it out."""
    (root / "lib" / f"python{python.minor}" / "site-packages").mkdir(parents=True)
    (root / "lib64").symlink_to("lib")
    (root / "bin").mkdir()
    (root / "bin" / "python").symlink_to(python.executable)
    for name in ("python3", f"python{python.minor}"):
        (root / "bin" / name).symlink_to("python")
    home = PurePosixPath(python.executable).parent
    lines = f"home = {home}", "include-system-site-packages = false", f"version = {python.version}"
    (root / "pyvenv.cfg").write_text("\n".join((*lines, "")))
    with (root / "pyvenv.cfg").open("rb") as stream:
        os.fsync(stream.fileno())
    _set_modes(root)


def _set_modes(root: Path) -> None:
    """Give everything below its mode, whatever the umask was."""
    for directory, _, files in os.walk(root):
        os.chmod(directory, 0o755)
        for name in files:
            path = os.path.join(directory, name)
            facts = os.lstat(path)
            mode = 0o755 if facts.st_mode & 0o100 else 0o644
            if stat.S_ISREG(facts.st_mode) and stat.S_IMODE(facts.st_mode) != mode:
                os.chmod(path, mode)


def _copy_links(tree: Path, root: Path) -> None:
    """Hard-link all files of a tree into an empty directory."""
    in_the_way = list(_link_tree(str(tree), str(root)))
    assert not in_the_way, in_the_way


def _link_tree(tree: str, root: str) -> Iterator[str]:
    """Hard-link all files of ``tree`` into ``root``; yield those (relative) for which something else is in the way.

    Strings and open directories rather than Path objects: linking thousands of files takes half the time.
    """
    pending = [""]
    while pending:
        directory = pending.pop()
        with _open_directory(tree + directory) as source, _open_directory(root + directory) as target:
            for entry in os.scandir(source):
                path = f"{directory}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                    if not _make_directory(root + path):
                        yield path[1:]
                    continue
                try:
                    os.link(entry.name, entry.name, src_dir_fd=source, dst_dir_fd=target)
                except OSError as error:
                    if not _link_failed(error, tree + path, root + path):
                        yield path[1:]


@contextmanager
def _open_directory(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _make_directory(path: str) -> bool:
    """Make a directory, or find one there; whether it is there now."""
    try:
        os.mkdir(path)
        os.chmod(path, 0o755)  # whatever the umask is
    except FileExistsError:
        return os.path.isdir(path)
    return True


def _link_failed(error: OSError, source: str, target: str) -> bool:
    """After a link that failed: whether the same file is at ``target`` all the same, or could be copied to it."""
    if error.errno == errno.EEXIST:
        # Two compilations of one module may differ in bytes, though not in meaning: the sources are what counts.
        return target.endswith(".pyc") or _same(source, target)
    if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
        raise error
    shutil.copy(source, target)
    with open(target, "rb") as stream:
        os.fsync(stream.fileno())
    return True


def _same(one: str, other: str) -> bool:
    """Whether two files have the same contents and mode; a link is never the same."""
    modes = {os.lstat(path).st_mode for path in (one, other)}
    return len(modes) == 1 and stat.S_ISREG(modes.pop()) and filecmp.cmp(one, other, shallow=False)
