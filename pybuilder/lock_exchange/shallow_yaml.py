"""YAML as tools write it: not deep, no aliases, each key once.

libyaml's composer calls itself for each level of nesting until the stack ends, so depth is looked at first, in the
parser's events, which come one at a time. Without aliases no document is greater than its text.
"""

from __future__ import annotations

from typing import Any, Protocol

import yaml
from yaml.constructor import SafeConstructor
from yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from pybuilder.errors import ConfigError
from pybuilder.json_files import ANEW

# A lock of Konflux's has five levels.
_DEEPEST = 20


class _Mark(Protocol):
    """A place in the text, from 0, as PyYAML and its binding to libyaml both have it."""

    line: int
    column: int


_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


def parse(text: str, file: str) -> Any:
    """Read YAML.

    Args:
        text: The file's text.
        file: Its name, for messages.

    Raises:
        ConfigError: It is none, is nested too deep, has aliases, or has a key twice; says the line if known.
    """
    try:
        _check_shape(text, file)
        node = yaml.compose(text, Loader=_LOADER)
        if node is None:
            return None
        _check_keys(node, file)
        return SafeConstructor().construct_document(node)
    except yaml.MarkedYAMLError as error:
        # Newer versions of libyaml look ahead, and find it before we do.
        if error.problem and "nesting depth" in error.problem:
            raise _too_deep(file, error.problem_mark) from error
        raise _wrong(f"this is no YAML: {error.problem}", file, error.problem_mark) from error
    except (yaml.YAMLError, ValueError) as error:
        raise _wrong(f"this is no YAML that can be read: {str(error).splitlines()[0]}", file, None) from error


def _check_shape(text: str, file: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > _DEEPEST:
            raise _too_deep(file, event.start_mark)
        if isinstance(event, AliasEvent):
            raise _wrong("a lock has no aliases", file, event.start_mark)


def _check_keys(node: yaml.Node, file: str) -> None:
    if isinstance(node, yaml.SequenceNode):
        for each in node.value:
            _check_keys(each, file)
    if not isinstance(node, yaml.MappingNode):
        return
    seen = set()
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in seen:
                raise _wrong(f"the key {key.value!r} is given twice", file, key.start_mark)
            seen.add((key.tag, key.value))
        _check_keys(value, file)


def _too_deep(file: str, mark: _Mark | None) -> ConfigError:
    return _wrong("this is nested too deep for a lock", file, mark)


def _wrong(what: str, file: str, mark: _Mark | None) -> ConfigError:
    where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
    return ConfigError(what, where=where, cure=ANEW)
