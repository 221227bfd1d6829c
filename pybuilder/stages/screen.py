"""Every source is screened before it is used; once, by digest, whatever the policy says later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from packaging.utils import NormalizedName

from pybuilder import events
from pybuilder.clock import new_attempt_id
from pybuilder.errors import ConfigError
from pybuilder.files import disk_errors, file_lock
from pybuilder.layout import Layout
from pybuilder.plan import digest
from pybuilder.screening.account import remember
from pybuilder.screening.found import Findings
from pybuilder.screening.policy import Judged, Part, judge
from pybuilder.stages import Source
from pybuilder.state import State
from pybuilder.timing import timed
from pybuilder.work import work_directory

if TYPE_CHECKING:
    from pybuilder.screening.dump import Dump
    from pybuilder.screening.osv import Advisory
    from pybuilder.settings import Screen

# Part of the digests under which findings are remembered: raise it when other things are found.
VERSION = 2

_FINDINGS, _OSV, _ADVISORIES = "findings", "osv", "advisories"


class World(Protocol):
    """As much of ``stages.Adapters`` as screening needs: no sandbox, so that anybody may screen."""

    @property
    def layout(self) -> Layout:
        """Where things lie in the state."""

    @property
    def state(self) -> State:
        """The database."""

    @property
    def listen(self) -> events.Listener:
        """Told of progress."""

    @property
    def now(self) -> Callable[[], datetime]:
        """The clock."""


@dataclass(kw_only=True, slots=True)
class Screener:
    """Screens sources by the policy of a workspace.

    Attributes:
        adapters: The world.
        policy: The workspace's ``[screen]``.
        root: The workspace's directory, which the path of the dump starts from.
    """

    adapters: World
    policy: Screen
    root: Path
    _dump: tuple[str, str] = ("", "")
    _known_index: dict[NormalizedName, list[str]] = field(default_factory=dict)

    def screen(self, source: Source) -> None:
        """Look for what no person reads in a source and its patches, and for advisories; keep an account of it.

        Raises:
            FetchError: It is damaged.
            ScreeningError: The policy refuses it.
            ReviewError: The policy wants somebody to look at it first.
            ConfigError: The advisories can't be read.
        """
        if stopped := self.judged(source).stopped:
            raise stopped

    def judged(self, source: Source) -> Judged:
        """The same for who wants to know only: what stops it is part of what is found.

        Raises:
            FetchError: It is damaged.
            ConfigError: The advisories can't be read.
        """
        parts = self._parts(source)
        dump, advisories = self._advisories(source) if self.policy.advisories else ("", ())
        name, version = source.name, str(source.version)
        judged = judge(name, version, parts=parts, advisories=advisories, dump=dump, policy=self.policy)
        remember(self.adapters.state, name, version, source.sha256, judged.account)
        return judged

    def _parts(self, source: Source) -> list[Part]:
        """The source and its patches, each with what is in it."""
        prebuilt = source.spec.prebuilt
        own = digest([VERSION, "wheel" if prebuilt else "source", source.sha256])
        patches = [(digest([VERSION, "patch", patch.sha256]), patch) for patch in source.patches]
        found = self._found(source, {own: source.file, **{key: patch.path for key, patch in patches}}, own)
        # That upstream's wheel has compiled code is what it is used for.
        accepted = f"upstream's wheel: {prebuilt.reason}" if prebuilt else ""
        parts = [Part(sha256=source.sha256, findings=found[own], accepted=accepted)]
        for key, patch in patches:
            # The same patch may have another name elsewhere.
            files = tuple(replace(file, path=f"{patch.file}: {file.path}") for file in found[key].files)
            parts.append(Part(sha256=patch.sha256, findings=replace(found[key], files=files)))
        return parts

    def _found(self, source: Source, files: Mapping[str, Path], own: str) -> dict[str, Findings]:
        """What is known of files by their digests; those of which nothing is known are looked through.

        Args:
            source: The source.
            files: The source's file and its patches, by what they are remembered under.
            own: Which of them is the source's file.
        """
        adapters, name, version = self.adapters, source.name, str(source.version)
        known = {key: adapters.state.fact(_FINDINGS, key) for key in files}
        missing = [key for key in files if known[key] is None]
        if missing:
            from pybuilder.screening.scan import scan_patch, scan_source

            adapters.listen(events.Started(name=name, version=version, phase="screen"))
            with (
                timed(adapters.listen, name=name, version=version, phase="screen"),
                disk_errors(source.file),
                ExitStack() as stack,
            ):
                spool = cache(partial(_spool, adapters, stack))
                for key in missing:
                    wheel = source.spec.prebuilt is not None
                    found = scan_source(files[key], spool, wheel=wheel) if key == own else scan_patch(files[key], spool)
                    known[key] = found.as_json
                    adapters.state.add_fact(_FINDINGS, key, known[key])
        return {key: Findings.from_json(each) for key, each in known.items()}

    def _advisories(self, source: Source) -> tuple[str, tuple[Advisory, ...]]:
        """The digest of the dump, and the advisories that a version is affected by, looked up once for each dump."""
        from pybuilder.screening.dump import Dump
        from pybuilder.screening.osv import Advisory

        state, key = self.adapters.state, f"{source.name}=={source.version}"
        dump = Dump(path=self.root / self.policy.advisories, where="pybuild.toml [screen].advisories")
        identity, sha256 = self._dump = self._dump if self._dump[1] else self._identified(dump)
        stamp = digest([VERSION, sha256])
        known = state.fact(_ADVISORIES, key)
        if known is None or known["stamp"] != stamp:
            found = dump.advisories(self._index(dump, stamp), source.name, source.version)
            if dump.identity() != identity:
                raise ConfigError(
                    f"the advisories in {dump.path.name} were changed while they were read",
                    where=dump.where,
                    cure="run the same command again; put a new dump in place by renaming it",
                )
            known = {"stamp": stamp, "found": [each.as_json for each in found]}
            state.add_fact(_ADVISORIES, key, known)
        return sha256, tuple(Advisory.from_json(each) for each in known["found"])

    def _identified(self, dump: Dump) -> tuple[str, str]:
        """How the dump looks from outside, and its digest; it is read only where it looks as if it had changed."""
        identity = dump.identity()
        known = self.adapters.state.fact(_OSV, "dump")
        if known is None or known["identity"] != identity:
            known = {"identity": identity, "sha256": dump.digest()}
            self.adapters.state.add_fact(_OSV, "dump", known)
        return identity, str(known["sha256"])

    def _index(self, dump: Dump, stamp: str) -> dict[NormalizedName, list[str]]:
        """Which records of the dump are about which package; several who want it at once make it once."""
        with file_lock(self.adapters.layout.lock("advisories")):
            if not self._known_index:
                known = self.adapters.state.fact(_OSV, "index")
                if known is None or known["stamp"] != stamp:
                    self.adapters.listen(events.Preparing(what=f"reading the advisories in {dump.path.name}"))
                    known = {"stamp": stamp, "index": dump.index()}
                    self.adapters.state.add_fact(_OSV, "index", known)
                self._known_index = known["index"]
            return self._known_index


def _spool(adapters: World, stack: ExitStack) -> Path:
    """A directory that is there until the stack is closed."""
    return stack.enter_context(work_directory(adapters.layout, new_attempt_id(adapters.now())))
