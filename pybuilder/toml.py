"""TOML with places: data by tomli, the place of every key, and errors that list every problem at once."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin

import tomli

from pybuilder.errors import ConfigError
from pybuilder.toml_places import BARE_KEY, KeyPath, key_offsets

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails, ValidationError

Data = Mapping[str, Any]
"""A table as tomli gives it."""

Model = TypeVar("Model", bound="BaseModel")


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong with a document.

    Attributes:
        path: The key; the place shown is that of its nearest ancestor that is written in the file.
        text: What is wrong and what would be right.
    """

    path: KeyPath
    text: str


@dataclass(frozen=True, kw_only=True)
class Document:
    """A file's data and text.

    Attributes:
        data: What the text says, as tomli reads it.
        text: The file's text.
        file: The name for messages, such as ``specs/six.toml``.
    """

    data: dict[str, Any]
    text: str
    file: str

    @cached_property
    def _offsets(self) -> dict[KeyPath, int]:
        return key_offsets(self.text)

    def position(self, path: KeyPath) -> tuple[int, int]:
        """Line and column, from 1, of a key, or of its nearest ancestor that is written in the file."""
        while path and path not in self._offsets:
            path = path[:-1]
        offset = self._offsets.get(path, 0)
        before = self.text[:offset]
        return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1

    def place(self, path: KeyPath) -> str:
        """File, line, column and dotted key: ``specs/six.toml:3:1 [source].type``."""
        line, column = self.position(path)
        table = len(path) == 1 and isinstance(self.data.get(str(path[0])), dict)
        key = f"[{path[0]}]" if table else dotted(path)
        return f"{self.file}:{line}:{column} {key}".rstrip()

    def error(self, problems: Iterable[Problem]) -> ConfigError:
        """One error that lists every problem, in the file's order."""
        found = sorted(problems, key=lambda problem: self.position(problem.path))
        parts = [ConfigError(p.text, where=self.place(p.path), cure="correct this line") for p in found]
        return ConfigError.of(parts, what=f"{self.file} has {len(parts)} problems", cure="correct these lines")


def parse(text: str, file: str) -> Document:
    """Read TOML.

    Args:
        text: The file's text.
        file: Its name for messages.

    Raises:
        ConfigError: The text is no TOML 1.0; says the line and column.
    """
    try:
        return Document(data=tomli.loads(text), text=text, file=file)
    except tomli.TOMLDecodeError as error:
        raise ConfigError(
            f"this is no TOML: {error.msg}",
            where=f"{file}:{error.lineno}:{error.colno}",
            cure="correct this line",
        ) from error
    except RecursionError as error:
        raise ConfigError("arrays or tables are nested too deep", where=file, cure="flatten them") from error


def misnamed(document: Document) -> list[Problem]:
    """The problem that a file is called other than what it describes, if it is; none where it names nothing."""
    stem, name = PurePosixPath(document.file).stem, document.data.get("name")
    if not isinstance(name, str) or name == stem:
        return []
    return [Problem(path=("name",), text=f"the name {name!r} must be the file's, which is {stem!r}")]


def validated(
    document: Document, model: type[Model], *, data: Data | None = None, found: Iterable[Problem] = ()
) -> Model:
    """A document as the value it stands for.

    Args:
        document: The file.
        model: What it should be.
        data: What to read in place of the document's own data, where something was done to that.
        found: Problems that are known already.

    Raises:
        ConfigError: The model refuses it; lists all problems, those that were known first.
    """
    from pydantic import ValidationError

    try:
        return model.model_validate(document.data if data is None else data)
    except ValidationError as error:
        raise document.error([*found, *problems(error, model)]) from error


def dotted(path: KeyPath) -> str:
    """A key as people write it: ``name``, ``pythons[0]``, ``[source].type``, ``[[override]][0].build.env``."""
    if len(path) < 2:
        return "".join(map(str, path))
    array = isinstance(path[1], int)
    head = str(path[0]) if array and len(path) == 2 else f"[[{path[0]}]]" if array else f"[{path[0]}]"
    return head + "".join(f"[{key}]" if isinstance(key, int) else f".{shown_key(key)}" for key in path[1:])


def shown_key(key: str) -> str:
    """A key as TOML writes it: quoted where it must be."""
    return key if BARE_KEY.fullmatch(key) else f'"{key}"'


def describe(value: object) -> str:
    """A value of TOML, JSON or YAML in words, for messages about a wrong type: ``the integer 3``, ``an array``."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            # Python prints no number of more than 4300 digits, though hexadecimal digits make one.
            return f"the integer {value}" if value.bit_length() < 256 else "a very great integer"
        case float():
            return f"the float {value}"
        case str():
            return f"the string {value[:60]!r}"
        case list():
            return "an array"
        case dict():
            return "a table"
        case None:
            return "null"
    return f"the date or time {value}"


def nearest(word: str, known: Iterable[str]) -> str:
    """A half-sentence that suggests the known word next to ``word``, or lists the known ones."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"


def problems(error: ValidationError, model: type[BaseModel], at: KeyPath = ()) -> list[Problem]:
    """The problems that pydantic found, in our words.

    Args:
        error: What validating data for ``model`` raised.
        model: The model, which knows the keys that exist.
        at: Where in the document the validated data stands.
    """
    return [_problem(detail, model, at) for detail in error.errors(include_url=False)]


_EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "bool_type": "true or false",
    "tuple_type": "an array",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}


def _problem(detail: ErrorDetails, model: type[BaseModel], at: KeyPath) -> Problem:
    loc = tuple(key for key in detail["loc"] if key != "[key]")
    path = at + loc
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return Problem(path=path, text=f"unknown key {loc[-1]!r}; {nearest(str(loc[-1]), _keys(model, loc[:-1]))}")
    if kind == "missing":
        return Problem(path=path, text=f"the key {loc[-1]!r} is missing")
    if kind in _EXPECTED:
        return Problem(path=path, text=f"expected {_EXPECTED[kind]}, found {describe(value)}")
    if kind == "literal_error":
        return Problem(path=path, text=f"expected {context['expected']}, found {describe(value)}")
    if kind == "value_error":
        return Problem(path=path, text=str(context["error"]))
    return Problem(path=path, text=f"{detail['msg'].removeprefix('Input ')}, found {describe(value)}")


def _keys(model: type[BaseModel], loc: KeyPath) -> list[str]:
    annotation: Any = model
    for key in loc:
        annotation = _step(annotation, key)
    fields = _unwrapped(annotation).model_fields
    return [field.alias or name for name, field in fields.items()]


def _step(annotation: Any, key: str | int) -> Any:
    annotation = _unwrapped(annotation)
    if get_origin(annotation) is tuple:
        return get_args(annotation)[0]
    if get_origin(annotation) is not None:
        return get_args(annotation)[1]
    return next(field.annotation for name, field in annotation.model_fields.items() if (field.alias or name) == key)


def _unwrapped(annotation: Any) -> Any:
    """``X`` for ``X | None`` and for ``Annotated[X, ...]``."""
    while hasattr(annotation, "__metadata__") or get_origin(annotation) in (Union, types.UnionType):
        annotation = get_args(annotation)[0]
    return annotation


def merged(base: Data, over: Data) -> dict[str, Any]:
    """Two tables as one, key by key all the way down; arrays and scalars of ``over`` replace those of ``base``."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result
