"""Where everything lies: the one place that joins paths of the state directory (DESIGN.md, "state")."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

YANKED = "yanked.json"
"""The file of an index that says which versions are yanked; none where none is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The paths below one state directory."""

    root: Path

    @property
    def database(self) -> Path:
        """The SQLite database."""
        return self.root / "state.db"

    @property
    def owner(self) -> Path:
        """Who made this state: uid and id map."""
        return self.root / "owner.json"

    @property
    def key(self) -> Path:
        """The private key that signs what is published; its owner's alone."""
        return self.root / "key" / "private.pem"

    @property
    def downloads(self) -> Path:
        """Unfinished downloads, kept so that they can be resumed."""
        return self.root / "downloads"

    @property
    def locks(self) -> Path:
        """Lock files; those that nobody holds may be removed by ``files.remove_lock``."""
        return self.root / "locks"

    def lock(self, name: str) -> Path:
        """The lock file for one thing, such as ``payload-<key>``."""
        return self.locks / f"{name}.lock"

    @property
    def runs(self) -> Path:
        """A file for each run that works with the store, locked as long as it does."""
        return self.root / "runs"

    @property
    def kept(self) -> Path:
        """A file for each attempt that somebody told gc to keep, under its id."""
        return self.root / "kept"

    @property
    def store(self) -> Path:
        """Everything by digest, a directory for each kind."""
        return self.root / "store"

    def kind(self, name: str) -> Path:
        """The directory of everything of one kind, such as ``sources``."""
        return self.store / name

    @property
    def works(self) -> Path:
        """The directory of all work directories."""
        return self.root / "work"

    @property
    def plans(self) -> Path:
        """The trees that were planned last, a file for each channel."""
        return self.root / "plans"

    @property
    def indexes(self) -> Path:
        """The published trees, a directory for each channel."""
        return self.root / "index"

    @property
    def damaged(self) -> Path:
        """What was found in the store without the digest that it was filed under."""
        return self.store / "damaged"

    def source(self, sha256: str) -> Path:
        """The directory that holds one source archive under its own file name."""
        return self.store / "sources" / sha256

    def payload(self, sha256: str) -> Path:
        """The directory that holds one payload wheel, and its unpacked tree once something needed it."""
        return self.store / "payloads" / sha256

    def rpm(self, sha256: str) -> Path:
        """The directory that holds one RPM under its own file name."""
        return self.rpms / sha256

    def repodata(self, sha256: str) -> Path:
        """A repository's list of packages in libsolv's form, by the digest of the repomd.xml that names it."""
        return self.store / "repodata" / f"{sha256}.solv"

    @property
    def rpms(self) -> Path:
        """The directory of all RPMs' directories."""
        return self.store / "rpms"

    @property
    def roots(self) -> Path:
        """The directory of all roots."""
        return self.store / "roots"

    def root_of(self, digest: str) -> Path:
        """The directory of one root: ``tree/``, ``rpmdb/`` and ``root.json``."""
        return self.roots / digest

    def root_log(self, digest: str) -> Path:
        """What rpm said when this root could not be made."""
        return self.roots / f"{digest}.log"

    def environment(self, digest: str) -> Path:
        """A virtual environment of unpacked payloads."""
        return self.store / "envs" / digest

    def records(self, key: str) -> Path:
        """All records of one key."""
        return self.store / "records" / key

    def record(self, key: str, attempt: str) -> Path:
        """The record of one attempt."""
        return self.records(key) / attempt

    def work(self, attempt: str) -> Path:
        """What a running attempt writes: its log from the first moment, its tree. Moved or removed at its end."""
        return self.works / attempt

    def check(self, attempt: str) -> Path:
        """What is kept of a check that found a difference: both payloads, and the record of the one built again."""
        return self.root / "checks" / attempt

    def plan(self, channel: str) -> Path:
        """The tree that was planned last for a channel."""
        return self.plans / f"{channel}.json"

    @property
    def cron(self) -> Path:
        """What others are told of the last pass of cron."""
        return self.root / "cron"

    @property
    def uv_cache(self) -> Path:
        """What uv keeps between its calls; it may be removed."""
        return self.root / "uv-cache"

    @property
    def seen_inside(self) -> tuple[Path, ...]:
        """The directories of which builds see parts: roots, environments and work lie below them."""
        return self.store, self.works

    def index(self, channel: str) -> Path:
        """The published tree of one channel."""
        return self.indexes / channel

    def wheel(self, channel: str, file: str) -> Path:
        """A wheel that a channel has published, by its file's name."""
        return self.index(channel) / "files" / file
