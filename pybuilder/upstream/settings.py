"""Which index this machine uses, by the settings of uv and pip."""

from __future__ import annotations

import configparser
from collections.abc import Iterable, Mapping
from pathlib import Path

import tomli

from pybuilder.errors import ConfigError


def default_index(environ: Mapping[str, str], *, system: Path = Path("/etc"), prefix: Path | None = None) -> str:
    """The index that uv or pip would use here: from the environment, pip's files, uv's file, else the public one.

    Args:
        environ: The environment.
        system: Where the machine's settings are.
        prefix: The Python installation whose ``pip.conf`` counts, as pip does; None for no such file.

    Raises:
        ConfigError: A file with settings can't be read.
    """
    for variable in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        if value := environ.get(variable, "").strip():
            # uv also takes NAME=URL.
            return value.partition("=")[2] if "=" in value.partition("://")[0] else value
    found = _pip_index(environ, system, prefix) or _uv_index(environ, system)
    if found:
        return found
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    return PYPI_SIMPLE_ENDPOINT


def _home_config(environ: Mapping[str, str]) -> Path | None:
    if environ.get("XDG_CONFIG_HOME"):
        return Path(environ["XDG_CONFIG_HOME"])
    return Path(environ["HOME"]) / ".config" if environ.get("HOME") else None


def _pip_files(environ: Mapping[str, str], system: Path, prefix: Path | None) -> Iterable[Path]:
    """Pip's configuration files on Unix, the weakest first (pip documentation, "Configuration")."""
    own = environ.get("PIP_CONFIG_FILE", "")
    if own == "/dev/null":
        return
    for directory in reversed((environ.get("XDG_CONFIG_DIRS") or str(system / "xdg")).split(":")):
        yield Path(directory) / "pip" / "pip.conf"
    yield system / "pip.conf"
    if not (own and Path(own).exists()):
        if environ.get("HOME"):
            yield Path(environ["HOME"]) / ".pip" / "pip.conf"
        if home := _home_config(environ):
            yield home / "pip" / "pip.conf"
    if prefix is not None:
        yield prefix / "pip.conf"
    if own:
        yield Path(own)


def _pip_index(environ: Mapping[str, str], system: Path, prefix: Path | None) -> str:
    merged = configparser.RawConfigParser(strict=False)
    for path in _pip_files(environ, system, prefix):
        try:
            merged.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            raise ConfigError(f"pip's configuration can't be read: {error}", where=str(path)) from error
    for section in ("install", "global"):
        for option in ("index-url", "index_url"):
            if value := merged.get(section, option, fallback="").strip():
                return value
    return ""


def _uv_index(environ: Mapping[str, str], system: Path) -> str:
    if environ.get("UV_NO_CONFIG"):
        return ""
    home = _home_config(environ)
    usual = [*([home / "uv" / "uv.toml"] if home else []), system / "uv" / "uv.toml"]
    for path in [Path(environ["UV_CONFIG_FILE"])] if environ.get("UV_CONFIG_FILE") else usual:
        try:
            settings = tomli.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            continue
        except ValueError as error:
            raise ConfigError(f"uv's configuration can't be read: {error}", where=str(path)) from error
        indexes = settings.get("index", [])
        default = [entry.get("url", "") for entry in indexes if entry.get("default")]
        if found := next(iter(default), "") or settings.get("index-url", ""):
            return str(found)
    return ""
