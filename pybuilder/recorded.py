"""The record of a wheel, found from the wheel alone: in the index that it lies in, in the state, or at a URL.

Nothing that is read here is believed: a record counts only where its parts agree with each other and with the wheel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pybuilder.errors import FetchError, PybuildError, StateError, UsageError, ValidationError
from pybuilder.fields import is_hex
from pybuilder.files import sha256_file
from pybuilder.index.pages import File, PageError, parse_project_json
from pybuilder.index.reader import DirectoryReader, Reader
from pybuilder.layout import Layout
from pybuilder.names import NormalizedName, any_number, normalize
from pybuilder.plan import Plan, Target
from pybuilder.plan_diff import Account
from pybuilder.provenance import read_statement
from pybuilder.record import PLAN, RECORD, read_plan, read_record
from pybuilder.signing import SUFFIX, parse_envelope
from pybuilder.stages import AppliedPatch
from pybuilder.state import State
from pybuilder.wheel.filename import WheelName
from pybuilder.wheel.numbering import strip

# The times that a zip can have (APPNOTE 4.4.6), from the second day on as payloads do.
_FIRST, _LAST = 315_619_200, 4_354_819_199
_ATTEMPT = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,63}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbered:
    """A numbered wheel, and the payload that it was made of.

    Attributes:
        filename: Its file name.
        name: The package.
        version: Upstream's version.
        label: What stands before its number.
        sha256: Its digest.
        payload: The payload, as a file.
        payload_sha256: Its digest.
    """

    filename: str
    name: NormalizedName
    version: Version
    label: str
    sha256: str
    payload: Path
    payload_sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """A wheel, with all that its record says of how it was made.

    Attributes:
        wheel: The wheel.
        account: The plan and the record of the attempt that made its payload.
        patches: In the order they are applied.
        where: Where the record was found.
    """

    wheel: Numbered
    account: Account
    patches: tuple[AppliedPatch, ...]
    where: str

    @property
    def plan(self) -> Plan:
        """What was built."""
        return self.account.plan


def read_numbered(file: Path, work: Path) -> Numbered:
    """A numbered wheel, and its payload, which is written into a directory.

    Raises:
        UsageError: Its version has no number: it is no wheel of ours.
        BuildError, ValidationError: It is damaged.
    """
    name = WheelName.parse(file.name)
    split = any_number(name.version)
    if split is None:
        raise UsageError(
            f"{file.name} is no wheel of ours: its version has no number",
            where=str(file),
            cure="name a wheel whose version ends as in 1.2.3+pb.2",
        )
    upstream, label, _ = split
    payload = work / f"{name.name.replace('-', '_')}-{upstream}-{name.tag}.whl"
    return Numbered(
        filename=file.name,
        name=name.name,
        version=upstream,
        label=label,
        sha256=sha256_file(file),
        payload_sha256=strip(file, payload, label=label),
        payload=payload,
    )


def find_record(wheel: Numbered, readers: Sequence[Reader], *, state: State, layout: Layout) -> Recorded:
    """The record of a wheel: the first that agrees with it and with itself.

    Args:
        wheel: The wheel.
        readers: The indexes that may have its record, the likeliest first.
        state: The database.
        layout: Where our own records are.

    Raises:
        ValidationError: An index lists another wheel under this name, or the records that there are contradict it.
        FetchError: There is no record of it.
    """
    problems: list[str] = []
    for reader, path in _candidates(wheel, readers, state, layout):
        where = f"{reader.where.rstrip('/')}/{path}"
        try:
            found = _read(wheel, reader, path, where)
        except (PybuildError, ValueError, KeyError, TypeError, AttributeError) as error:
            problems.append(f"{where}: {error.what if isinstance(error, PybuildError) else error!r}")
            continue
        if found is not None:
            _check_listed(wheel, [reader])
            return found
    _check_listed(wheel, readers)
    looked = [reader.where for reader in readers]
    if problems:
        raise ValidationError(
            f"the record of {wheel.filename} is not to be believed: {'; '.join(problems)}",
            where=f"payload sha256 {wheel.payload_sha256}",
            cure="find out who changed it, and get the wheel and its index again from where they were published",
        )
    raise FetchError(
        f"there is no record of {wheel.filename}, payload sha256 {wheel.payload_sha256}",
        where=", ".join(dict.fromkeys([*looked, str(layout.records("x").parent)])),
        cure="name the wheel where its index has it: DIRECTORY/files/NAME.whl or URL/files/NAME.whl",
    )


def listed(reader: Reader, project: NormalizedName, *, tree: str = "") -> tuple[File, ...]:
    """What an index lists of a project, oldest first; nothing where it has no page that can be read.

    Args:
        reader: The index.
        project: The project.
        tree: Empty for the wheels, ``sources/`` for what they were built from.
    """
    page = reader.read(f"{tree}simple/{project}/index.json")
    with suppress(PageError):
        return parse_project_json(page, project) if page is not None else ()
    return ()


def _check_listed(wheel: Numbered, readers: Iterable[Reader]) -> None:
    """Refuse a wheel that indexes list as another.

    Its payload may be the published one all the same, since what a number adds to it is no part of that.
    """
    for reader in readers:
        for file in listed(reader, wheel.name):
            if file.filename == wheel.filename and file.sha256 != wheel.sha256:
                raise ValidationError(
                    f"{wheel.filename} is not the wheel that was published: its sha256 is {wheel.sha256}, "
                    f"the index lists {file.sha256}",
                    where=reader.where,
                    cure="get the wheel again from the index",
                )


def _candidates(
    wheel: Numbered, readers: Iterable[Reader], state: State, layout: Layout
) -> Iterator[tuple[Reader, str]]:
    """Where a record may be: an index, or a directory of records, and the path in it."""
    for reader in readers:
        for attempt in _attempts(wheel, reader):
            yield reader, f"records/{wheel.payload_sha256}/{attempt}"
    kept = DirectoryReader(layout.records("x").parent)
    for row in state.published_anywhere(wheel.name):
        if row.payload == wheel.payload_sha256:
            yield kept, f"{row.key}/{row.attempt}"


def _attempts(wheel: Numbered, reader: Reader) -> Sequence[str]:
    """The attempts whose records an index has for a payload, newest first.

    A server of files doesn't say what a directory has; there the statement beside the wheel names the attempt.
    """
    names = reader.names(f"records/{wheel.payload_sha256}")
    if names is None:
        path = f"files/{wheel.filename}{SUFFIX}"
        envelope = reader.read(path)
        statement = parse_envelope(envelope, where=path).payload if envelope is not None else None
        names = (read_statement(statement, where=path).attempt,) if statement is not None else ()
    return sorted((name for name in names if _ATTEMPT.fullmatch(name)), reverse=True)


def _read(wheel: Numbered, reader: Reader, path: str, where: str) -> Recorded | None:
    """What an index's record says; None where it has none there.

    Raises:
        ValueError: It contradicts itself, or the wheel; as other errors do that reading a foreign document may raise.
        PybuildError: It can't be read.
    """
    files = [reader.file(f"{path}/{name}") for name in (PLAN, RECORD)]
    if files[0] is None or files[1] is None:
        return None
    account = Account(plan=read_plan(files[0].parent), record=read_record(files[1].parent))
    if wrong := list(contradictions(wheel, account)):
        raise ValueError("; ".join(wrong))
    patches = tuple(kept_patch(reader, path, patch) for patch in account.record["patches"])
    return Recorded(wheel=wheel, account=account, patches=patches, where=where)


def contradictions(wheel: Numbered, account: Account) -> Iterator[str]:
    """Where a record contradicts itself or the wheel, or has what no record of ours has."""
    plan, record = account.plan, account.record
    recipe = plan.recipe
    environment = [(each["name"], each["version"], each["payload_sha256"]) for each in record["environment"]]
    agreements = {
        "its key is not that of its plan": record["key"] == plan.key(),
        "it is of another payload": record["result"].get("payload_sha256") == wheel.payload_sha256,
        "it is of another package": canonicalize_name(recipe.name) == recipe.name == wheel.name,
        "it is of another version": recipe.version == str(wheel.version),
        "its source is not that of its plan": record["source"]["sha256"] == recipe.source,
        "its patches are not those of its plan": [p["sha256"] for p in record["patches"]] == list(recipe.patches),
        "its environment is not that of its plan": environment
        == [(each.name, each.version, each.payload) for each in plan.environment],
        "it names what is no sha256": all(isinstance(text, str) and is_hex(text, 64) for text in _digests(plan)),
        "it names what is no file": all(map(_is_file_name, _file_names(account))),
        "it names what is no package": all(map(_is_package, environment)),
        "its channel or buildroot is no name": all(
            re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name)
            for name in (record["channel"], record.get("buildroot", record["channel"]))
        ),
        "its target is no Python": _is_python(plan.target),
        "its SOURCE_DATE_EPOCH is no time of a wheel": type(plan.source_date_epoch) is int
        and _FIRST <= plan.source_date_epoch <= _LAST,
    }
    yield from (what for what, agrees in agreements.items() if not agrees)


def _digests(plan: Plan) -> Iterator[str]:
    yield from (plan.recipe.source, plan.root.digest, *plan.recipe.patches)
    yield from (each.payload for each in plan.environment)
    yield from (rpm["sha256"] for rpm in plan.root.contents.get("rpms", ()))


def _file_names(account: Account) -> Iterator[str]:
    yield account.record["source"]["file"]
    yield from (PurePosixPath(patch["file"]).name for patch in account.record["patches"])


def _is_file_name(text: str) -> bool:
    return re.fullmatch(r"[^/\0-\x1f\x7f]{1,255}", text) is not None and text not in (".", "..")


def _is_python(target: Target) -> bool:
    version = re.fullmatch(r"(3\.[0-9]{1,3})\.[0-9]{1,3}", target.full_version)
    return version is not None and version[1] == target.python


def _is_package(named: tuple[str, str, str]) -> bool:
    try:
        return normalize(named[0]) == named[0] and str(Version(named[1])) == named[1]
    except (InvalidVersion, UsageError):
        return False


def kept_patch(reader: Reader, path: str, patch: dict[str, str]) -> AppliedPatch:
    """A patch that is kept with a record.

    Args:
        reader: Where the record is.
        path: The record in it.
        patch: What the record says of the patch.

    Raises:
        StateError: It is missing, or another.
    """
    file = reader.file(f"{path}/patches/{PurePosixPath(patch['file']).name}")
    if file is None:
        raise StateError(f"its patch {patch['file']}, sha256 {patch['sha256']}, is missing", where=reader.where)
    if sha256_file(file) != patch["sha256"]:
        raise StateError(f"its patch {patch['file']} has not the sha256 {patch['sha256']}", where=str(file))
    return AppliedPatch(file=patch["file"], path=file, sha256=patch["sha256"])
