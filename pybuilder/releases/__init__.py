"""Who knows which versions there are: the upstream index, git, GitHub, GitLab, Anitya, or a page.

Readers of our own over the one HTTP client: nvchecker, which is well kept, knows these sources too, but asks through a
client of its own, with no condition, whatever index is set, and leaves out what the rules need: what was withdrawn, for
which Python a version is, digests, all candidates instead of the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pybuilder.candidates import Found, version_of
from pybuilder.releases.forges import ForgeReader
from pybuilder.releases.index import IndexReader
from pybuilder.releases.listings import anitya, page
from pybuilder.releases.notebook import Notebook
from pybuilder.releases.origin import Origin, origin
from pybuilder.releases.turns import host_of
from pybuilder.sources import git
from pybuilder.spec import Spec, Update
from pybuilder.upstream import Upstream
from pybuilder.upstream.files import File, Project

__all__ = ["Notebook", "Offered", "Releases"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Offered:
    """What upstream offers of a package.

    Attributes:
        found: Its versions; of the files of a version only the one that a build would start from.
        listed: What the index has of it; None where the index was not asked.
    """

    found: tuple[Found, ...]
    listed: tuple[Found, ...] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Releases:
    """Asks whoever knows.

    Args:
        notebook: Asks for pages, and remembers them.
        upstream: Knows where the index is.
        tags: Every tag that the target accepts, best first, for specs that use upstream's wheel.
        is_prebuilt: Whether a spec uses upstream's wheel of a version.
        environ: The environment, of which git gets the proxies, and the forges the tokens.
    """

    notebook: Notebook
    upstream: Upstream
    tags: Sequence[str]
    is_prebuilt: Callable[[Spec, Version], bool]
    environ: Mapping[str, str]

    def host(self, spec: Spec) -> str:
        """The server that will be asked.

        Raises:
            ConfigError: The spec does not say.
        """
        where = origin(spec)
        return host_of(self.upstream.page_url(canonicalize_name(where.url)) if where.kind == "pypi" else where.url)

    def offered(self, spec: Spec) -> Offered:
        """What there is of a package.

        Raises:
            ConfigError: The spec does not say who knows.
            FetchError: Whoever knows can't be asked, or answers nonsense.
        """
        where = origin(spec)
        match where.kind:
            case "pypi":
                return self._on_index(spec, canonicalize_name(where.url))
            case "git":
                found = self._git_tags(where)
            case "anitya":
                found = anitya(self.notebook, where)
            case "url":
                found = page(self.notebook, where, spec.update.include)
            case _:
                found = ForgeReader(notebook=self.notebook, environ=self.environ).found(where)
        if spec.source.type != "sdist" and not spec.knows_prebuilt:
            return Offered(found=found, listed=None)
        index = self._on_index(spec, canonicalize_name(spec.name))
        return Offered(found=_joined(found, index.found, spec.update), listed=index.listed)

    def _on_index(self, spec: Spec, name: NormalizedName) -> Offered:
        reader = IndexReader(notebook=self.notebook, upstream=self.upstream)
        is_sdist = spec.source.type == "sdist"
        listed = reader.sdists(name) if is_sdist and not spec.knows_prebuilt else reader.files(name)
        if not spec.knows_prebuilt:
            return Offered(found=_firsts(listed), listed=listed)
        sdists = [found for found in listed if not found.file.endswith(".whl")] if is_sdist else []
        built = [found for found in sdists if not self.is_prebuilt(spec, Version(found.text))]
        wheels = [found for found in self._best_wheels(name, listed) if self.is_prebuilt(spec, Version(found.text))]
        return Offered(found=_firsts([*built, *wheels]), listed=listed)

    def _best_wheels(self, name: NormalizedName, listed: Sequence[Found]) -> list[Found]:
        project = Project(name=name, files=tuple(map(_file, listed)), status="active", status_reason="")
        best = {file.filename for file in project.best_wheels(self.tags).values()}
        return [found for found in listed if found.file in best]

    def _git_tags(self, where: Origin) -> tuple[Found, ...]:
        with self.notebook.turns.at(where.url):
            tags = git.tags(where.url, self.environ)
        return tuple(Found(text=tag, ref=tag, commit=commit) for tag, commit in tags.items())


def _joined(found: Sequence[Found], index: Sequence[Found], update: Update) -> tuple[Found, ...]:
    """Versions that somebody else knows, together with what the index says of their sources."""
    sources = {one.text: one for one in index}
    joined = []
    for one in found:
        version = version_of(one.text, update)
        source = sources.get(str(version)) if isinstance(version, Version) else one
        if source is None:
            joined.append(replace(one, lacks="the index has no source of it yet"))
        else:
            joined.append(replace(source, text=one.text, ref=one.ref, commit=one.commit))
    return tuple(joined)


def _firsts(listed: Sequence[Found]) -> tuple[Found, ...]:
    """The first of each version."""
    first: dict[str, Found] = {}
    for found in listed:
        first.setdefault(found.text, found)
    return tuple(first.values())


def _file(found: Found) -> File:
    return File(
        filename=found.file,
        url="",
        sha256=found.sha256 or None,
        size=None,
        requires_python=found.requires_python,
        yanked=found.yanked is not None,
        yanked_reason=found.yanked or "",
        upload_time=found.uploaded,
        has_metadata=False,
        metadata_sha256=None,
    )
