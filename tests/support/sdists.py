"""Small real source distributions, made on the fly and always of the same bytes."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

Backend = Literal["flit", "setuptools", "setup.py", "none"]

MTIME = 1_600_000_000


def pkg_info(name: str, version: str, *, metadata_version: str = "2.1", extra: Sequence[str] = ()) -> bytes:
    """The text of a PKG-INFO; ``extra`` are further header lines."""
    lines = [f"Metadata-Version: {metadata_version}", f"Name: {name}", f"Version: {version}", *extra]
    return ("\n".join(lines) + "\n").encode()


def make_sdist(
    directory: Path,
    name: str,
    version: str,
    *,
    backend: Backend = "flit",
    requires: Sequence[str] = (),
    build_requires: Sequence[str] | None = None,
    files: Mapping[str, bytes] | None = None,
    info: bytes | None = None,
    top: str | None = None,
    filename: str | None = None,
) -> Path:
    """Write ``{name}-{version}.tar.gz``, a pure package of one module named after it.

    Args:
        directory: Where it goes.
        name: The project's name.
        version: Its version.
        backend: Who builds it: flit_core, setuptools with ``[project]``, a bare setup.py, or nobody.
        requires: Its install requirements.
        build_requires: Its build requirements, where the backend alone is not enough.
        files: More files, or others instead of the usual ones, by path below the top directory.
        info: Another PKG-INFO.
        top: Another top directory.
        filename: Another name for the archive.
    """
    stem = f"{name.replace('-', '_')}-{version}"
    content = {"PKG-INFO": info if info is not None else pkg_info(name, version)}
    content |= _package(name, version, backend, requires, build_requires)
    content |= files or {}
    path = directory / (filename or f"{stem}.tar.gz")
    directory.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(tar_bytes(content, top=top if top is not None else stem), mtime=0))
    return path


def tar_bytes(content: Mapping[str, bytes], *, top: str, mtime: int = MTIME) -> bytes:
    """An uncompressed tar of these files below the directory ``top``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, data in sorted(content.items()):
            member = tarfile.TarInfo(f"{top}/{path}" if top else path)
            member.size, member.mtime, member.mode = len(data), mtime, 0o644
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _package(
    name: str, version: str, backend: Backend, requires: Sequence[str], build_requires: Sequence[str] | None
) -> dict[str, bytes]:
    module = name.replace("-", "_").replace(".", "_")
    content = {f"{module}.py": f'"""The package {name}."""\n\n__version__ = "{version}"\n'.encode()}
    listed = ", ".join(f'"{requirement}"' for requirement in requires)
    if backend == "none":
        return content
    if backend == "setup.py":
        setup = f"from setuptools import setup\nsetup(name={name!r}, version={version!r}, py_modules=[{module!r}],"
        return content | {"setup.py": f"{setup} install_requires=[{listed}])\n".encode()}
    requirement, hooks = {
        "flit": ("flit_core>=3.2", "flit_core.buildapi"),
        "setuptools": ("setuptools", "setuptools.build_meta"),
    }[backend]
    wanted = ", ".join(f'"{item}"' for item in (build_requires if build_requires is not None else [requirement]))
    tool = (
        f'[tool.flit.module]\nname = "{module}"\n'
        if backend == "flit"
        else f'[tool.setuptools]\npy-modules = ["{module}"]\n'
    )
    pyproject = (
        f'[build-system]\nrequires = [{wanted}]\nbuild-backend = "{hooks}"\n\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\ndescription = "A small package"\n'
        f"dependencies = [{listed}]\n\n{tool}"
    )
    return content | {"pyproject.toml": pyproject.encode()}
