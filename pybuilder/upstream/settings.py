"""Which index this machine uses, by the settings of uv and pip."""

from __future__ import annotations

import configparser
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import tomli

from pybuilder.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexSetting:
    """An index, and who says so: a variable, a file, or nobody."""

    url: str
    told_by: str


def default_index(
    environ: Mapping[str, str], *, system: Path = Path("/etc"), prefix: Path | None = None
) -> IndexSetting:
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
            url = value.partition("=")[2] if "=" in value.partition("://")[0] else value
            return IndexSetting(url=url, told_by=variable)
    found = _pip_index(environ, system, prefix) or _uv_index(environ, system)
    if found:
        return found
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    return IndexSetting(url=PYPI_SIMPLE_ENDPOINT, told_by="")


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


def _pip_index(environ: Mapping[str, str], system: Path, prefix: Path | None) -> IndexSetting | None:
    strongest_first = [(path, _pip_settings(path)) for path in _pip_files(environ, system, prefix)][::-1]
    for section in ("install", "global"):
        for path, settings in strongest_first:
            for option in ("index-url", "index_url"):
                if value := settings.get(section, option, fallback="").strip():
                    return IndexSetting(url=value, told_by=str(path))
    return None


def _pip_settings(path: Path) -> configparser.RawConfigParser:
    settings = configparser.RawConfigParser(strict=False)
    try:
        settings.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"pip's configuration can't be read: {error}", where=str(path)) from error
    return settings


def _uv_index(environ: Mapping[str, str], system: Path) -> IndexSetting | None:
    if environ.get("UV_NO_CONFIG"):
        return None
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
            return IndexSetting(url=str(found), told_by=str(path))
    return None
