"""From validated payloads to numbered wheels in the index."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.clock import new_attempt_id, timestamp
from pybuilder.errors import PybuildError, StateError
from pybuilder.files import disk_errors, file_lock
from pybuilder.names import normalize, numbered_version, split_number
from pybuilder.record import read_plan, read_record
from pybuilder.stages import Adapters, Made
from pybuilder.stages.intact import published_wheels
from pybuilder.state import PublishedWheel
from pybuilder.timing import timed
from pybuilder.work import work_directory

if TYPE_CHECKING:
    from pybuilder.index import Index, Release
    from pybuilder.signing import PrivateKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One payload to publish, and whether it gets a new number though it has one already."""

    made: Made
    force: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What publishing one payload came to."""

    made: Made
    number: int
    minted: bool


def publish(adapters: Adapters, items: Sequence[Item]) -> tuple[Outcome, ...]:
    """Number payloads and publish them as one group: either all of them become visible or none.

    Raises:
        ConfigError: The channel has published under another label.
        ValidationError: The index holds another file under a name that is to be published.
        SigningError: The key can't be used; nothing has got a number then.
        StateError: The disk doesn't let us.
    """
    from pybuilder.signing import load_private

    channel = adapters.channel
    with ExitStack() as locks:
        # In order of name, so that two groups that share members can't wait for each other.
        for name in sorted({item.made.name for item in items}):
            locks.enter_context(file_lock(adapters.layout.lock(f"number-{channel.label}-{name}")))
        adapters.state.claim_label(channel.name, channel.label)
        _settle(adapters, {item.made.name for item in items})
        work = locks.enter_context(work_directory(adapters.layout, new_attempt_id(adapters.now())))
        wheels: list[tuple[PublishedWheel, Release]] = []
        outcomes = []
        key: PrivateKey | None = None
        for item in items:
            newest = newest_build(adapters, item.made)
            known = next((wheel for wheel in newest if wheel.payload == item.made.sha256), None)
            if known and not item.force:
                outcomes.append(Outcome(made=item.made, number=known.number, minted=False))
                continue
            key = key or load_private(adapters.layout.key)
            with timed(adapters.listen, name=item.made.name, version=item.made.version, phase="number"):
                numbered, new = _number(adapters, item, newest, work, key)
            wheels += new
            outcomes.append(Outcome(made=item.made, number=numbered, minted=True))
        if wheels:
            _make_visible(adapters, wheels, key)
    return tuple(outcomes)


def _settle(adapters: Adapters, names: Collection[str]) -> None:
    """Finish what a killed run had begun: what reached the index is published, what didn't never was.

    Args:
        adapters: The world.
        names: Packages whose locks we hold; other packages' rows may belong to a run that is alive.
    """
    unfinished = adapters.state.unfinished_publishes(adapters.channel.name)
    mine = [wheel for wheel in unfinished if wheel.name in names]
    if mine:
        adapters.index.settle()
    for wheel in mine:
        listed = {file.filename for file in adapters.index.files(normalize(wheel.name))}
        end = adapters.state.finish_publish if wheel.wheel in listed else adapters.state.drop_unfinished
        end(wheel.label, wheel.name, wheel.version, wheel.number)


def newest_build(adapters: Adapters, made: Made) -> tuple[PublishedWheel, ...]:
    """The wheels of the newest number under which the channel has published this version."""
    published = published_wheels(adapters, made.name, made.version)
    newest = max((wheel.number for wheel in published), default=0)
    return tuple(wheel for wheel in published if wheel.number == newest)


def _number(
    adapters: Adapters, item: Item, newest: Sequence[PublishedWheel], work: Path, key: PrivateKey | None
) -> tuple[int, list[tuple[PublishedWheel, Release]]]:
    """Put a number on a payload: the newest where only this target is missing in it, else the next one.

    Under a new number the payloads of the other targets are published again, so that a number covers them all.
    """
    made, channel = item.made, adapters.channel
    others = [wheel for wheel in newest if wheel.target != made.target]
    again: list[PublishedWheel] = []
    if newest and len(others) == len(newest) and not item.force:
        chosen = newest[0].number
    else:
        chosen = adapters.state.mint(
            channel.label,
            made.name,
            str(made.version),
            channel=channel.name,
            floor=index_floor(adapters.index, made.name, made.version, channel.label),
            now=timestamp(adapters.now()),
        )
        again = others
    fresh = _Numberable(made.name, str(made.version), made.target, made.sha256, made.key, made.recipe, made.attempt)
    old = [_Numberable(w.name, w.version, w.target, w.payload, w.key, w.recipe, w.attempt) for w in again]
    return chosen, [_wheel(adapters, one, chosen, work, key) for one in (fresh, *old)]


class _Numberable(NamedTuple):
    """A payload that gets a number, and where its record is."""

    name: str
    version: str
    target: str
    payload: str
    key: str
    recipe: str
    attempt: str


def index_floor(index: Index, name: NormalizedName, version: Version, label: str) -> int:
    """The greatest number of a version in an index, yanked wheels included."""
    numbers = [0]
    for file in index.files(name):
        split = split_number(Version(file.version), label)
        if split and split[0] == version:
            numbers.append(split[1])
    return max(numbers)


def _wheel(
    adapters: Adapters, one: _Numberable, chosen: int, work: Path, key: PrivateKey | None
) -> tuple[PublishedWheel, Release]:
    """The numbered wheel of a payload, with its row in the database and its place in the index.

    What its bills of materials and its provenance say of the build is read from the record, so that a payload that is
    published again says the same as the first time.
    """
    # Imported here, since a build that finds everything published never comes this far.
    from pybuilder.index import Release
    from pybuilder.index import Source as IndexSource
    from pybuilder.provenance import BILL
    from pybuilder.sbom import build_sbom, wheel_sbom
    from pybuilder.signing import SUFFIX
    from pybuilder.stages.bills import contents
    from pybuilder.stages.envelope import envelope
    from pybuilder.wheel.numbering import number

    directory = adapters.layout.record(one.key, one.attempt)
    account, plan = read_record(directory), read_plan(directory)
    payload = _payload(adapters, one)
    source = _archive(adapters, one, account["source"]["sha256"])
    label = adapters.channel.label
    with disk_errors(work):
        bundled = contents(
            payload,
            version=str(numbered_version(Version(one.version), label, chosen)),
            sha256=one.payload,
            account=account,
            record=directory,
            source=source,
            work=work,
        )
        numbered = number(payload, work, label=label, number=chosen, sbom=wheel_sbom(bundled))
    bill = build_sbom(bundled, sha256=numbered.sha256, account=account, plan=plan)
    signed = envelope(
        directory, wheel=numbered.path.name, sha256=numbered.sha256, account=account, plan=plan, bill=bill, key=key
    )
    # Upstream's wheel is nobody's source, and is not published as one.
    archive = None if account.get("prebuilt") else source
    release = Release(
        wheel=numbered.path,
        sha256=numbered.sha256,
        upload_time=adapters.now(),
        payload_sha256=one.payload,
        source=IndexSource(path=archive, sha256=account["source"]["sha256"]) if archive else None,
        record=directory,
        beside={BILL: bill, SUFFIX: signed},
    )
    return _row(adapters, one, chosen, release), release


def _row(adapters: Adapters, one: _Numberable, chosen: int, release: Release) -> PublishedWheel:
    return PublishedWheel(
        label=adapters.channel.label,
        name=one.name,
        version=one.version,
        number=chosen,
        target=one.target,
        channel=adapters.channel.name,
        wheel=release.wheel.name,
        wheel_sha256=release.sha256,
        payload=one.payload,
        key=one.key,
        recipe=one.recipe,
        attempt=one.attempt,
        published=timestamp(release.upload_time),
    )


def _payload(adapters: Adapters, one: _Numberable) -> Path:
    payload = adapters.store.sound_payload(one.payload)
    if payload is None:
        raise StateError(
            f"the payload of {one.name} {one.version} is gone from the store, or damaged",
            where=str(adapters.layout.payload(one.payload)),
            cure=f"pybuild rebuild {one.name}=={one.version}",
        )
    return payload


def _archive(adapters: Adapters, one: _Numberable, sha256: str) -> Path | None:
    """The source of a payload, None where it is gone."""
    file = adapters.store.source(sha256)
    if file and adapters.store.sound_source(sha256) is None:
        raise StateError(
            f"the source of {one.name} {one.version} is damaged in the store, and was set aside",
            where=str(file),
            cure="run the same command again: it will be fetched again",
        )
    return file


def _make_visible(adapters: Adapters, wheels: Sequence[tuple[PublishedWheel, Release]], key: PrivateKey | None) -> None:
    """Publish as one group; at whatever instant we die, ``_settle`` can tell what came of it."""
    rows = [row for row, _ in wheels]
    # A group becomes visible at once: its time is told of one of its members.
    with timed(adapters.listen, name=rows[0].name, version=rows[0].version, phase="publish"):
        adapters.state.begin_publish(rows)
        try:
            adapters.index.publish([release for _, release in wheels], signed_by=key.public if key else None)
        except PybuildError:
            _settle(adapters, {row.name for row in rows})
            raise
        for row in rows:
            adapters.state.finish_publish(row.label, row.name, row.version, row.number)
