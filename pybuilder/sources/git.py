"""Git repositories as sources: fetched without a checkout, so that no hook, filter or attribute has a say."""

from __future__ import annotations

import posixpath
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import TimeoutExpired
from urllib.parse import urlsplit, urlunsplit

from pybuilder.errors import EngineError, FetchError
from pybuilder.http import UnreachableError, redact, scheme
from pybuilder.processes import Completed, run, spawn
from pybuilder.sources.members import Member

_SCHEMES = ("https", "http", "ssh", "git")
# Neither part may begin with a dash: ssh would take it for an option.
_SCP = re.compile(r"\w[\w.-]*@\w[\w.-]*:(?![-/:])\S+")
_PASSED_ON = re.compile(r"(?i)(https?|all|no)_proxy|PATH|SSH_AUTH_SOCK|GIT_SSL_CAINFO|SSL_CERT_FILE")
_PASSING = re.compile(
    r"(?i)could not resolve|timed out|early eof|rpc failed|disconnect|hung up|connection re|(HTTP|error:) (429|5\d\d)"
)
_NO_ANSWER = re.compile(rf"{_PASSING.pattern}|connect")
_CONFIG = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "credential.helper=",
    "gc.auto=0",
    "maintenance.auto=false",
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
)
_FETCH_SECONDS = 3600.0
_LIST_SECONDS = 60.0
_ATTEMPTS = 3
_DEPTH = 8


def git_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment in which git asks nobody, reads no settings but the repository's, and speaks English.

    Of ``environ`` the path, proxies, certificates and the ssh agent are passed on.
    """
    passed = {key: value for key, value in environ.items() if _PASSED_ON.fullmatch(key)}
    if "SSL_CERT_FILE" in passed:
        passed.setdefault("GIT_SSL_CAINFO", passed.pop("SSL_CERT_FILE"))
    return passed | {
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
        # No "ext", which runs any command that a URL names.
        "GIT_ALLOW_PROTOCOL": ":".join((*_SCHEMES, "file")),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """A commit that is here.

    Attributes:
        repository: The bare repository that has it.
        url: Where it came from.
        sha: Its name.
        time: When it was committed, in seconds since the epoch.
    """

    repository: Path
    url: str
    sha: str
    time: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Blob:
    repository: Path
    path: str
    mode: int
    sha: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Git:
    """Fetches commits into bare repositories below one directory.

    Args:
        directory: An empty directory, which the caller removes.
        environ: The environment of pybuild itself.
        sleep: How to wait between attempts, in seconds.
    """

    directory: Path
    environ: Mapping[str, str]
    sleep: Callable[[float], None] = time.sleep

    def fetch(self, url: str, *, tag: str = "", commit: str = "") -> Commit:
        """Fetch one commit, by name or by the tag that leads to it.

        Raises:
            FetchError: It can't be fetched, or is not there.
            EngineError: git is missing.
        """
        check_scheme(url)
        return self._fetch(url, tag=tag, commit=commit)

    def content(self, commit: Commit, *, submodules: bool) -> Iterator[Member]:
        """All files and links of a commit, in order of path, byte for byte as they were committed.

        Files that live in git-lfs are the pointers that git itself has.

        Args:
            commit: The commit.
            submodules: Whether to fetch and include submodules; else their directories are left out.

        Raises:
            FetchError: A submodule can't be fetched.
        """
        blobs = sorted(
            self._blobs(commit, submodules, depth=0), key=lambda blob: blob.path.encode("utf-8", "surrogateescape")
        )
        for repository, run_of_blobs in _runs(blobs):
            with _reader(self._argv(repository, "cat-file", "--batch"), git_environ(self.environ)) as read:
                for blob in run_of_blobs:
                    yield from read(blob)

    def _fetch(self, url: str, *, tag: str, commit: str) -> Commit:
        repository = self.directory / f"{len(list(self.directory.iterdir()))}.git"
        kind = "sha256" if len(commit) == 64 else "sha1"
        self._git(
            repository, "init", "--quiet", "--bare", "--template=", f"--object-format={kind}", str(repository), url=url
        )
        if tag:
            done = self._download(repository, url, "--depth=1", f"+refs/tags/{tag}:refs/pybuild/source")
            _check(done, url, f"the tag {tag!r} can't be fetched")
            commit = (
                self._git(repository, "rev-parse", "--verify", "refs/pybuild/source^{commit}", url=url).decode().strip()
            )
        elif self._download(repository, url, "--depth=1", f"+{commit}:refs/pybuild/source").returncode:
            # Not every server gives out a commit by its name: then all there is.
            done = self._download(repository, url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
            _check(done, url, f"the commit {commit} can't be fetched")
        return Commit(repository=repository, url=url, sha=commit, time=self._time(repository, commit, url))

    def _download(self, repository: Path, url: str, *arguments: str) -> Completed:
        options = [argument for argument in arguments if argument.startswith("--")]
        refs = [argument for argument in arguments if not argument.startswith("--")]
        argv = self._argv(
            repository, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", *options, "--", url, *refs
        )
        for attempt in range(_ATTEMPTS):
            done = run(argv, env=git_environ(self.environ), timeout=_FETCH_SECONDS)
            if not done.returncode or not _PASSING.search(done.stderr.decode("utf-8", "replace")):
                break
            if attempt + 1 < _ATTEMPTS:
                self.sleep(2.0**attempt)
        return done

    def _time(self, repository: Path, commit: str, url: str) -> int:
        done = run(self._argv(repository, "cat-file", "commit", commit), env=git_environ(self.environ))
        _check(done, url, f"the commit {commit} is not there")
        found = re.search(rb"^committer .*> (-?\d+) [-+]\d+$", done.stdout.partition(b"\n\n")[0], re.MULTILINE)
        return int(found[1]) if found else 0

    def _blobs(self, commit: Commit, submodules: bool, depth: int) -> Iterator[_Blob]:
        listing = self._git(commit.repository, "ls-tree", "-r", "-z", "--full-tree", commit.sha, url=commit.url)
        links: dict[str, str] = {}
        for line in listing.decode("utf-8", "surrogateescape").split("\0")[:-1]:
            facts, _, path = line.partition("\t")
            mode, kind, sha = facts.split(" ")
            if kind == "commit":
                links[path] = sha
            else:
                yield _Blob(repository=commit.repository, path=path, mode=int(mode, 8), sha=sha)
        if submodules and links:
            yield from self._submodules(commit, links, depth)

    def _submodules(self, commit: Commit, links: Mapping[str, str], depth: int) -> Iterator[_Blob]:
        if depth == _DEPTH:
            raise FetchError(f"submodules are nested more than {_DEPTH} deep", where=redact(commit.url))
        urls = self._submodule_urls(commit)
        for path, sha in links.items():
            if path not in urls:
                raise FetchError(f".gitmodules has no URL for the submodule {path!r}", where=redact(commit.url))
            url = submodule_url(commit.url, urls[path])
            for blob in self._blobs(self._fetch(url, tag="", commit=sha), True, depth + 1):
                yield _Blob(repository=blob.repository, path=f"{path}/{blob.path}", mode=blob.mode, sha=blob.sha)

    def _submodule_urls(self, commit: Commit) -> dict[str, str]:
        blob = f"--blob={commit.sha}:.gitmodules"
        done = run(self._argv(commit.repository, "config", blob, "--null", "--list"), env=git_environ(self.environ))
        if done.returncode:
            return {}
        settings: dict[str, dict[str, str]] = {}
        for entry in done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]:
            key, _, value = entry.partition("\n")
            module, _, setting = key.rpartition(".")
            settings.setdefault(module, {})[setting] = value
        return {one["path"]: one["url"] for one in settings.values() if {"path", "url"} <= one.keys()}

    def _argv(self, repository: Path, *arguments: str) -> list[str]:
        options = [word for setting in _CONFIG for word in ("-c", setting)]
        return ["git", f"--git-dir={repository}", *options, *arguments]

    def _git(self, repository: Path, *arguments: str, url: str) -> bytes:
        done = run(self._argv(repository, *arguments), env=git_environ(self.environ))
        _check(done, url, f"git {arguments[0]} failed")
        return done.stdout


def tags(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The tags of a repository, and the commits that they lead to.

    Raises:
        FetchError: They can't be had.
        EngineError: git is missing.
    """
    check_scheme(url)
    options = [word for setting in _CONFIG for word in ("-c", setting)]
    argv = ["git", *options, "ls-remote", "--quiet", "--tags", "--", url]
    try:
        done = run(argv, env=git_environ(environ), timeout=_LIST_SECONDS)
    except EngineError as error:
        if not isinstance(error.__cause__, TimeoutExpired):
            raise
        raise UnreachableError(f"listing the tags took more than {_LIST_SECONDS:.0f} s", where=redact(url)) from error
    try:
        _check(done, url, "the tags can't be listed")
    except FetchError as error:
        if not _NO_ANSWER.search(error.what):
            raise
        raise UnreachableError(error.what, where=error.where, cure="check the network and the URL") from error
    found: dict[str, str] = {}
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        commit, _, ref = line.partition("\t")
        # The commit of an annotated tag comes after the tag's own name.
        found[ref.removeprefix("refs/tags/").removesuffix("^{}")] = commit
    return found


def check_scheme(url: str) -> None:
    """Refuse what git must not fetch from.

    Raises:
        FetchError: The URL has such a scheme.
    """
    if scheme(url) not in (*_SCHEMES, "file"):
        raise FetchError("git fetches from https, http, ssh, git or file URLs only", where=redact(url))


def submodule_url(parent: str, url: str) -> str:
    """The URL of a submodule, relative ones taken from its parent's (gitmodules(5)).

    Raises:
        FetchError: It is one that an untrusted file may not make us fetch from.
    """
    if url.startswith(("./", "../")):
        parts = urlsplit(parent)
        return urlunsplit(parts._replace(path=posixpath.normpath(posixpath.join(parts.path, url))))
    is_local = scheme(url) == "file" or url.startswith("/")
    if (scheme(url) in _SCHEMES and "://" in url) or _SCP.fullmatch(url) or (is_local and scheme(parent) == "file"):
        return url
    raise FetchError(f"a submodule has the URL {redact(url)!r}, which is refused", where=redact(parent))


def _check(done: Completed, url: str, what: str) -> None:
    if not done.returncode:
        return
    said = done.stderr.decode("utf-8", "replace").replace(url, redact(url)).strip()
    # A submodule's or redirect's URL may have a password too.
    said = re.sub(r"(?<=://)[^/\s]*@", "", said)
    cure = "check the URL, the tag or commit, and your rights"
    raise FetchError(f"{what}: {said or 'git says nothing'}", where=redact(url), cure=cure)


def _runs(blobs: list[_Blob]) -> Iterator[tuple[Path, list[_Blob]]]:
    """Neighbours of one repository, so that one process serves them all."""
    start = 0
    for end in range(1, len(blobs) + 1):
        if end == len(blobs) or blobs[end].repository != blobs[start].repository:
            yield blobs[start].repository, blobs[start:end]
            start = end


@contextmanager
def _reader(argv: list[str], env: Mapping[str, str]) -> Iterator[Callable[[_Blob], Iterator[Member]]]:
    with spawn(argv, env=env, input_pipe=True) as process:
        ask, answer = process.stdin, process.stdout
        assert ask is not None and answer is not None

        def read(blob: _Blob) -> Iterator[Member]:
            ask.write(blob.sha.encode() + b"\n")
            ask.flush()
            header = answer.readline().split()
            if len(header) != 3 or header[1] != b"blob":
                raise FetchError(f"git has no content for {blob.path!r}", where=str(blob.repository))
            size = int(header[2])
            if stat.S_ISLNK(blob.mode):
                target = answer.read(size).decode("utf-8", "surrogateescape")
                yield Member(name=blob.path, kind="symlink", target=target)
            else:
                data = answer
                yield Member(
                    name=blob.path, kind="file", executable=bool(blob.mode & stat.S_IXUSR), size=size, data=data
                )
            answer.read(1)

        yield read
