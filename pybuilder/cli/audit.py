"""``pybuild audit``: where a wheel came from, and whether all that is kept of it agrees."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from pybuilder import audit as audits
from pybuilder.audit.stored import Kept
from pybuilder.cli import audited
from pybuilder.cli.completion import complete_names
from pybuilder.cli.options import Options
from pybuilder.cli.places import channel_name, named_index, open_layout, open_workspace, own_index, published_wheels
from pybuilder.errors import UsageError, ValidationError
from pybuilder.http import Client
from pybuilder.index import File
from pybuilder.layout import Layout
from pybuilder.names import BuildName
from pybuilder.signing import kept_keys, read_public
from pybuilder.state import State
from pybuilder.store import Store
from pybuilder.workspace import Workspace


@click.command()
@click.argument("build", metavar="BUILD|WHEEL|URL|INDEX", required=False, shell_complete=complete_names)
@click.option("--all", "everything", is_flag=True, help="Every wheel of INDEX; default: of the channel's own.")
@click.option("--index", metavar="DIR|URL", help="The published index that has it; then no state is needed.")
@click.option("--key", "keys", multiple=True, type=click.Path(path_type=Path), help="Trust this public key alone.")
@click.option("--upstream", is_flag=True, help="Also compare a pure wheel with upstream's own.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def audit(
    options: Options,
    build: str | None,
    everything: bool,
    index: str | None,
    keys: tuple[Path, ...],
    upstream: bool,
    as_json: bool,
) -> int:
    """Verify published wheels, and print where they came from: source, patches, RPMs, and what built them.

    BUILD is [CHANNEL/]NAME[==VERSION[+LABEL.N]] or an attempt's id; a WHEEL is a file, or a URL, in a published index.
    """
    if everything and upstream:
        raise UsageError("--all compares nothing with upstream", cure="name one BUILD with --upstream")
    if everything and build and index:
        raise UsageError("--all is given two indexes", cure=f"leave out --index or {build}")
    if build is None and not everything:
        raise UsageError("name a BUILD, a WHEEL or a URL", cure="or audit the whole index: pybuild audit --all")
    with _bench(options, keys) as bench:
        if everything:
            return _audit_all(bench, build or index, as_json=as_json)
        assert build is not None
        found = list(_audits(bench, build, index))
        originals = audited.originals(found, bench.client, bench.scratch, bench.workspace) if upstream else ()
    if as_json:
        print(json.dumps(audited.document(found, originals), indent=2))
    else:
        for line in audited.lines(found, originals):
            print(line)
    return audited.exit_code(found, originals)


def _audit_all(bench: Bench, text: str | None, *, as_json: bool) -> int:
    began = time.monotonic()
    place = named_index(text) if text else own_index(bench.layout, bench.channel)
    shelf = bench.shelf(place)
    with bench.kept(place) as kept:
        found = audits.audit_all(shelf, extra=kept.checks if kept else None)
    seconds = time.monotonic() - began
    if as_json:
        print(json.dumps(audited.all_document(found, shelf.reader.where, seconds), indent=2))
    else:
        for line in audited.all_lines(found, shelf.reader.where, seconds):
            print(line)
    return ValidationError.exit_code if found.problems else 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What an audit needs, whichever index it reads.

    Attributes:
        options: What stands before the command.
        workspace: The workspace; None where there is none, which an index doesn't need.
        trust: Whose signatures count.
        client: Fetches.
        scratch: A directory that is removed in the end.
    """

    options: Options
    workspace: Workspace | None
    trust: audits.Trust
    client: Client
    scratch: Path

    @property
    def layout(self) -> Layout:
        """The state's paths.

        Raises:
            UsageError: There is no workspace.
        """
        return open_layout(self.options, self.home)

    @property
    def home(self) -> Workspace:
        """The workspace.

        Raises:
            UsageError: There is none.
        """
        return self.workspace or open_workspace(self.options)

    @property
    def channel(self) -> str:
        """The channel that the options mean."""
        return channel_name(self.options, self.home)

    def shelf(self, place: audits.Place) -> audits.Shelf:
        """An index, to be read."""
        return audits.Shelf(reader=place.open(self.client, self.scratch), trust=self.trust, scratch=self.scratch)

    @contextlib.contextmanager
    def kept(self, place: audits.Place) -> Iterator[Kept | None]:
        """The store of the state that an index belongs to; None where it belongs to none of ours."""
        if self.workspace is None or place.is_url:
            yield None
            return
        layout = self.layout
        if Path(place.index).parent.resolve() != layout.indexes.resolve():
            yield None
            return
        with contextlib.closing(State.open(layout)) as state:
            yield Kept(store=Store(layout), facts=state)


@contextlib.contextmanager
def _bench(options: Options, keys: Sequence[Path]) -> Iterator[Bench]:
    try:
        workspace = open_workspace(options)
    except UsageError:
        if options.workspace is not None:
            raise
        workspace = None
    if keys:
        trust = audits.Trust(keys=read_public(keys), demanded=True)
    else:
        trust = audits.Trust(keys=kept_keys(workspace.keys) if workspace else {})
    with Client() as client, tempfile.TemporaryDirectory(prefix="pybuild-audit-") as scratch:
        yield Bench(options=options, workspace=workspace, trust=trust, client=client, scratch=Path(scratch))


def _audits(bench: Bench, text: str, index: str | None) -> Iterator[audits.Audit]:
    chosen = _chosen(bench, text, index)
    shelf = bench.shelf(chosen.place)
    with bench.kept(chosen.place) as kept:
        for file in chosen.files(shelf):
            yield audits.audit(shelf, file, content=chosen.content, extra=kept.checks if kept else None)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Chosen:
    """The wheels that a person means.

    Attributes:
        place: The index that has them.
        filenames: Their names; empty where ``build`` says which.
        content: The wheel itself, where it is another file than the index has.
        build: What was typed.
    """

    place: audits.Place
    filenames: tuple[str, ...] = ()
    content: Path | None = None
    build: BuildName | None = None

    def files(self, shelf: audits.Shelf) -> tuple[File, ...]:
        """As the index lists them."""
        if self.build is not None:
            return audits.wheels_of(shelf, self.build.name, self.build.version)
        return tuple(audits.named(shelf, name) for name in self.filenames)


def _chosen(bench: Bench, text: str, index: str | None) -> _Chosen:
    """What a person means by a BUILD, a WHEEL or a URL.

    Raises:
        UsageError: Nothing that is there.
    """
    if index is not None:
        at = named_index(index)
        file = _file(text)
        return (
            _Chosen(place=at, filenames=(file.name,), content=file) if file else _Chosen(place=at, build=_named(text))
        )
    place = audits.Place.of(text)
    if place is not None and place.wheel:
        return _Chosen(place=place, filenames=(place.wheel,))
    if place is not None:
        raise UsageError(f"{text} is an index", cure=f"name one of its wheels, or all: pybuild audit --all {text}")
    if file := _file(text):
        return _Chosen(place=_listing(bench, file.name), filenames=(file.name,), content=file)
    with contextlib.closing(State.open(bench.layout)) as state:
        wheels = published_wheels(text, state, bench.home.settings.label)
    return _Chosen(place=own_index(bench.layout, wheels[0].channel), filenames=tuple(wheel.wheel for wheel in wheels))


def _named(text: str) -> BuildName:
    build = BuildName.parse(text)
    if build.channel:
        raise UsageError(f"{text} names a channel, but --index has only one", cure=f"write {build.name}")
    return build


def _file(text: str) -> Path | None:
    """The file that a text names; None for a text that names none."""
    if not text.endswith(".whl"):
        return None
    if not (file := Path(text)).is_file():
        raise UsageError(f"there is no file {text}")
    return file


def _listing(bench: Bench, filename: str) -> audits.Place:
    """The index of the state that lists a wheel.

    Raises:
        UsageError: None does.
    """
    indexes = bench.layout.indexes
    for root in sorted(indexes.iterdir()) if indexes.is_dir() else ():
        place = audits.Place(index=str(root))
        with contextlib.suppress(UsageError, ValidationError):
            audits.named(bench.shelf(place), filename)
            return place
    raise UsageError(
        f"{filename} was not published from here",
        cure="name the index that has it with --index; a wheel of ours has a version with a number",
    )
