from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from pybuilder.errors import ConfigError, FetchError
from pybuilder.files import sha256_file
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.sources.archive import extract
from pybuilder.sources.fetch import Fetched, Sources, Wanted
from pybuilder.spec import Pin, Source
from pybuilder.store import Store
from pybuilder.upstream import Upstream
from tests.support.git import TIME, git, repository
from tests.support.sdists import make_sdist, pkg_info
from tests.support.upstream import Fault, UpstreamServer, serve

FOO = canonicalize_name("foo")
SDIST = "foo-1.0.tar.gz"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[UpstreamServer]:
    make_sdist(tmp_path / "files", "foo", "1.0")
    with serve(tmp_path / "files") as running:
        yield running


@pytest.fixture
def sources(tmp_path: Path, server: UpstreamServer) -> Iterator[Sources]:
    with Client(sleep=lambda seconds: None, timeout=5) as client:
        yield Sources(
            store=Store(Layout(root=tmp_path / "state")),
            client=client,
            upstream=Upstream(client=client, url=server.index),
            workspace=tmp_path / "workspace",
        )


def wanted(source: Source | None = None, pin: Pin | None = None, version: str = "1.0") -> Wanted:
    return Wanted(name=FOO, version=Version(version), source=source or Source(), pin=pin)


def nothing_is_kept(sources: Sources) -> bool:
    root = sources.store.layout.root
    return not [path for path in root.rglob("*") if path.is_file() and path.suffix != ".lock"]


def names(fetched: Fetched) -> list[str]:
    with tarfile.open(fetched.file) as archive:
        return archive.getnames()


# sdist


def test_an_sdist_is_fetched_once(sources: Sources, server: UpstreamServer) -> None:
    first = sources.fetch(wanted())
    assert first.file == sources.store.source(first.sha256) and first.filename == SDIST
    assert sha256_file(first.file) == first.sha256 == sha256_file(server.directory / SDIST)
    assert first.origin == server.file_url(SDIST)
    asked = len(server.requests)
    again = sources.fetch(wanted(pin=Pin(file=SDIST, sha256=first.sha256)))
    assert (again.file, again.origin) == (first.file, "store")
    assert len(server.requests) == asked
    assert not list(sources.store.layout.downloads.iterdir())


def test_a_pin_picks_the_file(sources: Sources, server: UpstreamServer) -> None:
    other = make_sdist(server.directory, "foo", "1.0", filename="Foo-1.0.tar.gz", files={"more": b""})
    pin = Pin(file=other.name, sha256=sha256_file(other))
    assert sources.fetch(wanted(pin=pin)).filename == other.name


def test_a_pin_with_a_url_needs_no_index(sources: Sources, server: UpstreamServer) -> None:
    pin = Pin(file=SDIST, sha256=sha256_file(server.directory / SDIST), url=server.file_url(SDIST))
    assert sources.fetch(wanted(pin=pin)).filename == SDIST
    assert not server.asked("/simple/foo/")


@pytest.mark.parametrize("hashes", [True, False])
def test_another_digest_than_the_pin_s(sources: Sources, server: UpstreamServer, hashes: bool) -> None:
    server.hashes = hashes
    pinned, real = "0" * 64, sha256_file(server.directory / SDIST)
    with pytest.raises(FetchError, match="sha256 mismatch") as caught:
        sources.fetch(wanted(pin=Pin(file=SDIST, sha256=pinned)))
    assert pinned in caught.value.what and real in caught.value.what and caught.value.exit_code == 30
    assert nothing_is_kept(sources)


def test_another_content_than_the_index_says(sources: Sources, server: UpstreamServer) -> None:
    server.faults[SDIST] = Fault(content=(server.directory / SDIST).read_bytes()[:-1] + b"x")
    with pytest.raises(FetchError, match="mismatch"):
        sources.fetch(wanted())
    assert nothing_is_kept(sources)


@pytest.mark.parametrize(
    ("pin", "version", "why"),
    [
        (None, "2.0", "no sdist of foo 2.0"),
        (Pin(file="foo-1.0.zip", sha256="0" * 64), "1.0", r"'foo-1.0.zip' of foo 1.0 is not on the index"),
    ],
)
def test_files_that_are_not_there(sources: Sources, pin: Pin | None, version: str, why: str) -> None:
    with pytest.raises(FetchError, match=why):
        sources.fetch(wanted(pin=pin, version=version))


@pytest.mark.parametrize("info", [pkg_info("bar", "1.0"), pkg_info("foo", "1.1")])
def test_an_sdist_of_something_else(sources: Sources, server: UpstreamServer, info: bytes) -> None:
    make_sdist(server.directory, "foo", "1.0", info=info)
    with pytest.raises(FetchError, match="wrong name or version"):
        sources.fetch(wanted())
    assert nothing_is_kept(sources)


@pytest.mark.parametrize("data", [b"<html>Log in</html>", b""])
def test_something_that_is_no_archive(sources: Sources, server: UpstreamServer, data: bytes) -> None:
    (server.directory / SDIST).write_bytes(data)
    with pytest.raises(FetchError, match="truncated or damaged"):
        sources.fetch(wanted())
    assert nothing_is_kept(sources)


def test_a_cut_download_goes_on_in_the_next_run(sources: Sources, server: UpstreamServer) -> None:
    server.faults[SDIST] = Fault(cut_after=100)
    server.ranges = False
    with pytest.raises(FetchError, match="failed 5 times"):
        sources.fetch(wanted())
    server.faults.clear()
    server.ranges = True
    asked = len(server.asked(SDIST))
    assert sources.fetch(wanted()).filename == SDIST
    assert server.asked(SDIST)[asked]["range"] == "bytes=100-"


# url


def test_a_url(sources: Sources, server: UpstreamServer) -> None:
    template = Source(type="url", url=server.root + "/files/{name}-{version}.tar.gz")
    found = sources.fetch(wanted(template))
    assert (found.filename, found.origin) == (SDIST, server.file_url(SDIST))
    local = Source(type="url", url=(server.directory / SDIST).as_uri())
    assert sources.fetch(wanted(local, Pin(file=SDIST, sha256=found.sha256))).sha256 == found.sha256
    with pytest.raises(FetchError, match="mismatch"):
        sources.fetch(wanted(local, Pin(file=SDIST, sha256="0" * 64)))
    with pytest.raises(FetchError, match="wrong name or version"):
        sources.fetch(wanted(local, version="2.0"))


# git

FILES = {"setup.py": b"x\n", "a/b.txt": b"\n$Id$\n", ".gitattributes": b"*.txt eol=crlf ident export-ignore\n"}


@pytest.fixture
def upstream_repository(tmp_path: Path) -> Path:
    directory = tmp_path / "upstream"
    directory.mkdir()
    (directory / "link").symlink_to("a/b.txt")
    (directory / "run").write_bytes(b"#!/bin/sh\n")
    (directory / "run").chmod(0o755)
    repository(directory, FILES, tag="v1.0")
    return directory


def test_a_tag_is_resolved_and_archived_always_alike(sources: Sources, upstream_repository: Path) -> None:
    source = Source(type="git", url=upstream_repository.as_uri(), tag="v{version}")
    found = sources.fetch(wanted(source))
    assert found.commit == git(upstream_repository, "rev-parse", "HEAD")
    assert found.filename == "foo-1.0.tar" and found.commit in found.origin
    assert found.sha256 == GOLDEN, "other bytes would break every pin of a git source"
    expected = [".gitattributes", "a/b.txt", "link", "run", "setup.py"]
    assert names(found) == [f"foo-1.0/{name}" for name in expected]
    extracted = extract(found.file, sources.workspace)
    assert extracted.newest_mtime == TIME
    assert (extracted.root / "a/b.txt").read_bytes() == b"\n$Id$\n"
    assert (extracted.root / "run").stat().st_mode & 0o777 == 0o755


GOLDEN = "55f1ef3118a6f45da8ef2a5c3e7112053b918257c169138175bad6afa178c90a"


def test_a_pinned_commit_outlives_a_moved_tag(sources: Sources, upstream_repository: Path) -> None:
    source = Source(type="git", url=upstream_repository.as_uri(), tag="v1.0")
    first = sources.fetch(wanted(source))
    repository(upstream_repository, {"setup.py": b"moved\n"})
    git(upstream_repository, "tag", "--force", "v1.0")
    assert sources.fetch(wanted(source, Pin(commit=first.commit))).sha256 == first.sha256
    assert sources.fetch(wanted(source)).sha256 != first.sha256
    pin = Pin(commit=first.commit, sha256=first.sha256, file=first.filename)
    gone = Source(type="git", url="file:///nonexistent", tag="v1.0")
    assert sources.fetch(wanted(gone, pin)).origin == "store"


def test_a_commit_that_is_not_what_was_pinned(sources: Sources, upstream_repository: Path) -> None:
    commit = git(upstream_repository, "rev-parse", "HEAD")
    source = Source(type="git", url=upstream_repository.as_uri(), commit=commit)
    assert sources.fetch(wanted(source)).commit == commit
    with pytest.raises(FetchError, match="is pinned"):
        sources.fetch(wanted(source, Pin(commit="0" * 40)))
    with pytest.raises(FetchError, match="sha256 mismatch"):
        sources.fetch(wanted(source, Pin(commit=commit, sha256="0" * 64, file="foo-1.0.tar")))


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ({"tag": "v9"}, "the tag 'v9' can't be fetched"),
        ({"commit": "1" * 40}, "commit 1+ (can't be fetched|is not there)"),
    ],
)
def test_what_is_not_in_the_repository(
    sources: Sources, upstream_repository: Path, reference: dict[str, str], why: str
) -> None:
    with pytest.raises(FetchError, match=why):
        sources.fetch(wanted(Source.model_validate({"type": "git", "url": upstream_repository.as_uri(), **reference})))
    assert nothing_is_kept(sources)


def test_git_messages_have_no_passwords(sources: Sources) -> None:
    source = Source(type="git", url="http://me:secret@127.0.0.1:9/x.git", tag="v1")
    with pytest.raises(FetchError) as caught:
        sources.fetch(wanted(source))
    assert "secret" not in str(caught.value) and "127.0.0.1:9" in str(caught.value)


@pytest.mark.parametrize("included", [True, False])
def test_submodules(sources: Sources, upstream_repository: Path, tmp_path: Path, included: bool) -> None:
    repository(tmp_path / "inner", {"deep.c": b"deep"})
    repository(tmp_path / "lib", {"lib.c": b"lib"})
    git(tmp_path / "lib", "submodule", "--quiet", "add", "../inner", "sub/inner")
    repository(tmp_path / "lib", {})
    git(upstream_repository, "submodule", "--quiet", "add", (tmp_path / "lib").as_uri(), "vendor/lib")
    repository(upstream_repository, {}, tag="v2.0")
    source = Source(type="git", url=upstream_repository.as_uri(), tag="v{version}", submodules=included)
    found = names(sources.fetch(wanted(source, version="2.0")))
    inner = {"foo-2.0/vendor/lib/lib.c", "foo-2.0/vendor/lib/sub/inner/deep.c"}
    assert (inner <= set(found)) == included and found == sorted(found)


def test_nothing_of_the_repository_runs(
    sources: Sources, upstream_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "ran"
    config = tmp_path / "gitconfig"
    config.write_text(f'[filter "evil"]\nsmudge = touch {marker}\n[core]\nfsmonitor = touch {marker}\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    repository(upstream_repository, {".gitattributes": b"* filter=evil\n"}, tag="v3")
    sources.fetch(wanted(Source(type="git", url=upstream_repository.as_uri(), tag="v3")))
    with pytest.raises(FetchError):
        git_url = f"ext::sh -c touch% {marker}"
        sources.fetch(wanted(Source.model_construct(type="git", url=git_url, tag="v1", commit="", submodules=False)))
    assert not marker.exists()


# path


@pytest.mark.parametrize("in_git", [True, False])
def test_a_path(sources: Sources, in_git: bool) -> None:
    directory = sources.workspace / "src" / "foo"
    directory.mkdir(parents=True)
    (directory / "link").symlink_to("setup.py")
    files = {"src/foo/setup.py": b"x", "src/foo/.gitignore": b"*.o\n", "other": b""}
    if in_git:
        repository(sources.workspace, files)
    for path, data in {**files, "src/foo/a.o": b"", "src/foo/new.py": b"", "src/foo/.pybuild/x": b""}.items():
        (sources.workspace / path).parent.mkdir(parents=True, exist_ok=True)
        (sources.workspace / path).write_bytes(data)
    found = sources.fetch(wanted(Source(type="path", path="src/{name}")))
    expected = [".gitignore", *([] if in_git else ["a.o"]), "link", "new.py", "setup.py"]
    assert names(found) == [f"foo-1.0/{name}" for name in expected]
    assert extract(found.file, sources.workspace / "out").newest_mtime == (TIME if in_git else 0)
    (directory / "setup.py").write_bytes(b"changed")
    assert sources.fetch(wanted(Source(type="path", path="src/foo"))).sha256 != found.sha256


def test_a_path_out_of_the_workspace(sources: Sources) -> None:
    with pytest.raises(ConfigError, match="leads out of the workspace"):
        sources.fetch(wanted(Source.model_construct(type="path", path="../files", commit="")))
