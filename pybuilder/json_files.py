"""Files that tools write for tools: JSON, and errors that list every problem with its dotted path."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pybuilder.errors import ConfigError
from pybuilder.toml import Problem, problems, shown_key
from pybuilder.toml_places import KeyPath

Model = TypeVar("Model", bound=BaseModel)

ANEW = "write this file anew with the tool that made it"


def parse_json(text: str, file: str) -> Any:
    """Read JSON, in which no key may be given twice.

    Args:
        text: The file's text.
        file: Its name, for messages.

    Raises:
        ConfigError: It is none; says the line and column.
    """
    try:
        return json.loads(text, object_pairs_hook=_table)
    except json.JSONDecodeError as error:
        where = f"{file}:{error.lineno}:{error.colno}"
        raise ConfigError(f"this is no JSON: {error.msg}", where=where, cure=ANEW) from error
    except RecursionError as error:
        raise ConfigError("this is nested too deep", where=file, cure=ANEW) from error
    except ValueError as error:
        # Python's own is about a number with too many digits, with advice for programmers after the semicolon.
        what = f"this is no JSON that can be read: {str(error).partition(';')[0]}"
        raise ConfigError(what, where=file, cure=ANEW) from error


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key {name!r} is given twice")
    return table


def validated(data: object, model: type[Model], file: str, header: Collection[str]) -> Model:
    """What a file says.

    Args:
        data: The file's data.
        model: What it should be.
        file: Its name, for messages.
        header: The keys that say which form this is; where they are wrong nothing else is reported.

    Raises:
        ConfigError: It is something else.
    """
    if not isinstance(data, dict):
        raise refused(file, [Problem(path=(), text="the file is no table")])
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = problems(error, model)
        raise refused(file, [each for each in found if each.path[0] in header] or found) from error


def refused(file: str, found: Iterable[Problem]) -> ConfigError:
    """One error that lists every problem, each with its place."""
    parts = [ConfigError(each.text, where=place(file, each.path), cure=ANEW) for each in found]
    return ConfigError.of(parts, what=f"{file} has {len(parts)} problems")


def place(file: str, path: KeyPath) -> str:
    """File and dotted key: ``rpms.lock.yaml arches[0].packages[3].evr``, ``graph.json nodes."six==1.17.0".source``."""
    key = "".join(f"[{each}]" if isinstance(each, int) else f".{shown_key(each)}" for each in path)
    return f"{file} {key.removeprefix('.')}".rstrip()
