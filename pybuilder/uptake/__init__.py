"""Taking a new version into a spec: its source is fetched and compared, its patches are tried, and the spec is edited.

Nothing is written into the workspace before somebody says so: a new version is a candidate until it has been built and
validated, or a person wants it in the spec at once. Where it is more than a pin, a candidate is built in a workspace in
which its files are ``proposed``.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace

from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.commits import Commits
from pybuilder.errors import ConfigError, PybuildError, ReviewError, UsageError
from pybuilder.needed_by import needed_by
from pybuilder.spec import Spec, parse_spec
from pybuilder.stages import Adapters, Source
from pybuilder.stages.screen import Screener
from pybuilder.stages.source import SourceGetter
from pybuilder.uptake.prepared import PatchNews, Prepared
from pybuilder.uptake.preparing import Preparing
from pybuilder.workspace import Workspace
from pybuilder.workspace.drafts import Drafts
from pybuilder.workspace.edits import write

__all__ = ["PatchNews", "Prepared", "Uptake"]


@dataclass(kw_only=True, slots=True)
class Uptake:
    """Takes new versions into the specs of a workspace; several may be prepared at once, in as many threads.

    Attributes:
        adapters: The world.
        sources: Gets sources.
        screener: Screens them before anything is done with them.
        workspace: Whose specs; its files as they are on disk.
    """

    adapters: Adapters
    sources: SourceGetter
    screener: Screener
    workspace: Workspace
    _needed: Counter[str] | None = field(default=None)
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def prepare(self, name: NormalizedName, version: Version) -> Prepared:
        """Find out what taking a version in comes to. The state pins its source; the workspace stays as it is.

        Raises:
            UsageError: The package has no spec, or has no versions that could be pinned.
            FetchError: Its source can't be had, is damaged, or is not what it was when it was first seen.
            ScreeningError, ReviewError: It must not be used, or not before somebody has looked at it.
            ConfigError: The spec is wrong, or one of its patches is none.
            BuildError: It does not say how it is built.
        """
        spec = self._spec(name)
        old = max((known for known in spec.versions if known < version), default=None)
        drafts = Drafts(root=self.workspace.root, run=self.workspace.run)
        getter = replace(self.sources, workspace=drafts)
        source = getter.acquire(name, version)
        # Somebody else may have pinned it since the spec was read.
        pin = drafts.noted(name, version) or drafts.spec(name).pin(version)
        if pin is None:
            where = spec.document.place(("source",))
            raise UsageError(
                f"the source of {name} is a directory of the workspace, which is never pinned", where=where
            )
        self.screener.screen(source)
        preparing = Preparing(
            adapters=self.adapters,
            workspace=self.workspace,
            spec=spec,
            source=source,
            pin=pin,
            before=_had(getter, name, old),
            old=old,
        )
        return preparing.prepared(needed_by=self._count(name))

    def write(self, prepared: Prepared) -> None:
        """Write a version into its spec.

        Raises:
            ReviewError: A person must look first.
            ConfigError: Somebody has changed a file meanwhile; nothing has been written.
            StateError: The disk doesn't let us.
        """
        _check_reviewed(prepared)
        write(self.workspace.root, prepared.changes)

    def commit(self, prepared: Prepared) -> str:
        """Write a version into its spec and commit that; what it returns and raises, as ``Commits.commit``.

        Raises:
            ReviewError: A person must look first.
        """
        _check_reviewed(prepared)
        return self.commits.commit(prepared.changes, prepared.message)

    def propose(self, prepared: Prepared) -> str:
        """Commit a version on a branch of its own; what it returns and raises, as ``Commits.propose``.

        Where its branch pins it already, that stays as it is, whatever somebody has added to it.

        Raises:
            ReviewError: A person must look first.
        """
        _check_reviewed(prepared)
        file = f"specs/{prepared.name}.toml"
        tip, text = self.commits.proposed(prepared.branch, file)
        with suppress(ConfigError, UnicodeDecodeError):
            if text is not None and parse_spec(text.decode(), file).pin(prepared.version) == prepared.pin:
                return tip
        return self.commits.propose(prepared.changes, prepared.message, branch=prepared.branch)

    @property
    def commits(self) -> Commits:
        """Commits to the workspace."""
        adapters = self.adapters
        return Commits(workspace=self.workspace, layout=adapters.layout, state=adapters.state, now=adapters.now)

    def _spec(self, name: NormalizedName) -> Spec:
        spec = self.workspace.spec(name)
        if spec is None:
            similar = self.workspace.similar(name)
            cure = f"did you mean {', '.join(similar)}?" if similar else f"write one: pybuild new {name}"
            raise UsageError(f"{name} has no spec", where=str(self.workspace.spec_path(name)), cure=cure)
        return spec

    def _count(self, name: NormalizedName) -> int:
        with self._counting:
            if self._needed is None:
                self._needed = needed_by(self.adapters.state, self.adapters.layout, self.adapters.channel.name)
            return self._needed[name]


def _check_reviewed(prepared: Prepared) -> None:
    if prepared.review:
        package = (prepared.name, f"{prepared.name}=={prepared.version}", "update")
        raise ReviewError(
            f"{prepared.name} {prepared.version} waits for a person: {prepared.review}",
            wanted=(package,),
            cure=f"write it into specs/{prepared.name}.toml by hand; or have [update] ignore this version",
        )


def _had(getter: SourceGetter, name: NormalizedName, old: Version | None) -> Source | str:
    """The source of the version before, or why it can't be had."""
    if old is None:
        return ""
    try:
        return getter.acquire(name, old)
    except PybuildError as error:
        return f"the source of {old} can't be had, so that nothing was compared with it: {error.what}"
