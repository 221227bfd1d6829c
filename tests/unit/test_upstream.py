from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urljoin

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from pybuilder.errors import ConfigError, FetchError
from pybuilder.filenames import directory_version, is_wheel_of, sdist_version, wheel_version
from pybuilder.http import Page
from pybuilder.upstream.pages import parse_project
from pybuilder.upstream.settings import default_index

URL = "http://127.0.0.1/simple/foo/"
FOO = canonicalize_name("foo")
SHA = "a" * 64


def html(body: str, *, url: str = URL) -> Page:
    return Page(url=url, content_type="text/html", body=body.encode())


def json_page(files: object, *, url: str = URL, kind: str = "application/json", **more: object) -> Page:
    data: dict[str, object] = {"meta": {"api-version": "1.1"}, "name": "foo", "files": files}
    data |= {key.replace("_", "-"): value for key, value in more.items()}
    return Page(url=url, content_type=kind, body=json.dumps(data).encode())


@pytest.mark.parametrize(
    ("filename", "name", "version"),
    [
        ("foo-1.0.tar.gz", "foo", "1.0"),
        ("Foo-1.0.zip", "foo", "1.0"),
        ("foo-1.0.tar.bz2", "foo", "1.0"),
        ("foo_bar-1.0.tar.gz", "foo-bar", "1.0"),
        ("foo.bar-1.0.tar.gz", "foo-bar", "1.0"),
        ("name-with-dashes-1.0.tar.gz", "name-with-dashes", "1.0"),
        ("foo-1.0-1.tar.gz", "foo", "1.0.post1"),
        ("foo-2-2.0.tar.gz", "foo-2", "2.0"),
        ("foo-2.0+local.1.tar.gz", "foo", "2.0+local.1"),
        ("foo-bar-1.0.tar.gz", "foo", None),
        ("foo-1.0.linux-x86_64.tar.gz", "foo", None),
        ("foo-dev.tar.gz", "foo", None),
        ("foo-1.0-py3-none-any.whl", "foo", None),
        ("foo-1.0.exe", "foo", None),
    ],
)
def test_sdist_version(filename: str, name: str, version: str | None) -> None:
    found = sdist_version(filename, canonicalize_name(name))
    assert found == (None if version is None else Version(version))


def test_versions_in_other_names() -> None:
    assert wheel_version("foo-1.0-py3-none-any.whl") == Version("1.0")
    assert wheel_version("foo-1.0-any.whl") is None
    assert is_wheel_of("foo-1.0-py3-none-any.whl", Version("1")) and is_wheel_of(
        "foo-1-1-py3-none-any.whl", Version("1")
    )
    for name in ("foo-1.1-py3-none-any.whl", "foo-1.0.tar.gz", "foo-1.0-any.whl", "foo-x-py3-none-any.whl", "foo", ""):
        assert not is_wheel_of(name, Version("1"))
    assert directory_version("Foo-1.0", FOO) == Version("1.0")
    assert directory_version("bar-1.0", FOO) is None


def test_sdists_are_sorted_by_version_and_the_best_of_each() -> None:
    names = ["foo-1.10.tar.gz", "foo-1.9.zip", "foo-1.9.tar.gz", "foo-1.9-py3-none-any.whl", "foo-x.tar.gz"]
    files = [{"filename": name, "url": name, "hashes": {}} for name in [*names, "foo-2.tar.gz", "foo-2.zip"]]
    files[-2]["yanked"] = "broken"
    project = parse_project(json_page(files), FOO)
    found = project.sdists()
    assert list(found) == [Version("1.9"), Version("1.10"), Version("2")]
    assert [file.filename for file in found.values()] == ["foo-1.9.tar.gz", "foo-1.10.tar.gz", "foo-2.zip"]
    assert [file.filename for file in project.wheels(Version("1.9"))] == ["foo-1.9-py3-none-any.whl"]


TAGS = (
    "cp311-cp311-manylinux_2_36_x86_64",
    "cp311-cp311-manylinux2014_x86_64",
    "cp311-abi3-linux_x86_64",
    "py3-none-any",
)


@pytest.mark.parametrize(
    ("names", "yanked", "best"),
    [
        (["py3-none-any", "cp311-cp311-manylinux2014_x86_64"], [], "cp311-cp311-manylinux2014_x86_64"),
        # A compressed tag is as good as the best that it stands for.
        (
            ["cp311-cp311-manylinux2014_x86_64", "cp310.cp311-cp311-manylinux_2_5_x86_64.manylinux_2_36_x86_64"],
            [],
            "cp310.cp311-cp311-manylinux_2_5_x86_64.manylinux_2_36_x86_64",
        ),
        (["py2.py3-none-any", "cp39-cp39-win_amd64"], [], "py2.py3-none-any"),
        (["py3-none-any", "1-py3-none-any", "10-py3-none-any", "2b-py3-none-any"], [], "10-py3-none-any"),
        (["cp39-cp39-win_amd64", "cp312-cp312-linux_x86_64"], [], None),
        ([], [], None),
        # What was withdrawn is taken where there is nothing else, however good it is.
        (["py3-none-any", "cp311-abi3-linux_x86_64"], ["cp311-abi3-linux_x86_64"], "py3-none-any"),
        (["py3-none-any", "cp39-cp39-win_amd64"], ["py3-none-any"], "py3-none-any"),
    ],
)
def test_the_best_wheel(names: list[str], yanked: list[str], best: str | None) -> None:
    others = ["foo-1.0.tar.gz", "foo-2.0-py3-none-any.whl", "bar-1.0-cp311-abi3-linux_x86_64.whl", "foo-1.0-x.whl"]
    filenames = [*(f"foo-1.0-{name}.whl" for name in names), *others]
    withdrawn = {f"foo-1.0-{name}.whl" for name in yanked}
    files = [{"filename": name, "url": name, "hashes": {}, "yanked": name in withdrawn} for name in filenames]
    found = parse_project(json_page(files), FOO)
    wheel = found.best_wheel(Version("1"), TAGS)
    assert (wheel and wheel.filename) == (best and f"foo-1.0-{best}.whl")
    assert list(found.best_wheels(TAGS)) == [*([Version("1.0")] if best else []), Version("2.0")]


def test_a_version_without_a_wheel_for_the_target() -> None:
    files = [{"filename": f"foo-1.0-{tag}.whl", "url": tag, "hashes": {}} for tag in ("b-none-any", "a-none-any")]
    project = parse_project(json_page(files), FOO)
    assert project.lack_of_wheel(Version("1.0"), "cp311-linux_x86_64") == (
        "none of upstream's wheels of foo 1.0 is for cp311-linux_x86_64: foo-1.0-a-none-any.whl, foo-1.0-b-none-any.whl"
    )
    assert project.lack_of_wheel(Version("2.0"), "x") == "the index has no wheel of foo 2.0"


def test_a_json_page_with_everything() -> None:
    entry = {
        "filename": "foo-1.0.tar.gz",
        "url": "../../files/foo-1.0.tar.gz",
        "hashes": {"sha256": SHA.upper(), "md5": "x"},
        "requires-python": ">=3.9",
        "core-metadata": {"sha256": SHA},
        "yanked": "broken",
        "size": 12,
        "upload-time": "2024-01-02T03:04:05.000006Z",
        "provenance": "../relative.provenance",
        "something-new": 1,
    }
    project = parse_project(json_page([entry], project_status={"status": "newfangled", "reason": "r"}), FOO)
    (file,) = project.files
    assert (project.status, project.status_reason) == ("newfangled", "r")
    assert file.url == "http://127.0.0.1/files/foo-1.0.tar.gz"
    assert (file.sha256, file.size, file.requires_python) == (SHA, 12, ">=3.9")
    assert (file.yanked, file.yanked_reason) == (True, "broken")
    assert (file.has_metadata, file.metadata_sha256) == (True, SHA)
    assert file.upload_time is not None and file.upload_time.isoformat() == "2024-01-02T03:04:05.000006+00:00"


def test_a_json_page_with_the_least() -> None:
    (file,) = parse_project(json_page([{"filename": "foo-1.0.zip", "url": "foo-1.0.zip", "hashes": {}}]), FOO).files
    assert (file.sha256, file.size, file.upload_time, file.has_metadata, file.yanked) == (
        None,
        None,
        None,
        False,
        False,
    )


@pytest.mark.parametrize(
    ("value", "has", "digest"),
    [(True, True, None), (False, False, None), ({"sha256": SHA}, True, SHA)],
)
def test_the_old_name_of_core_metadata(value: object, has: bool, digest: str | None) -> None:
    entry = {"filename": "foo-1.0.zip", "url": "x", "hashes": {}, "dist-info-metadata": value}
    (file,) = parse_project(json_page([entry]), FOO).files
    assert (file.has_metadata, file.metadata_sha256) == (has, digest)


def test_an_html_page_with_everything() -> None:
    page = html(
        f"""<html><head><meta name="pypi:repository-version" content="1.4">
        <meta name="pypi:project-status" content="archived"></head><body>
        <a href="../up">Parent directory</a>
        <a href="../../files/foo-1.0.tar.gz#sha256={SHA}" data-requires-python="&gt;=3.9" data-yanked=""
           data-dist-info-metadata="sha256={SHA}">foo-1.0.tar.gz</a>
        <a href="foo-2.0%2Blocal.tar.gz" data-core-metadata="true">foo-2.0+lo..&gt;</a></body></html>"""
    )
    project = parse_project(page, FOO)
    first, second = project.files
    assert project.status == "archived"
    assert first.url == "http://127.0.0.1/files/foo-1.0.tar.gz"
    assert (first.sha256, first.metadata_sha256, first.requires_python) == (SHA, SHA, ">=3.9")
    assert (first.yanked, first.yanked_reason) == (True, "")
    assert (second.filename, second.has_metadata, second.metadata_sha256) == ("foo-2.0+local.tar.gz", True, None)
    assert list(project.sdists()) == [Version("1.0"), Version("2.0+local")]


def test_base_href_and_redirects_decide_where_relative_urls_lead() -> None:
    page = html('<base href="/mirror/"><a href="foo-1.zip">foo-1.zip</a>', url="http://localhost/x/y/")
    assert parse_project(page, FOO).files[0].url == "http://localhost/mirror/foo-1.zip"


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("/f/foo-1.zip", "http://me:secret@127.0.0.1/f/foo-1.zip"),
        ("http://elsewhere/foo-1.zip", "http://elsewhere/foo-1.zip"),
    ],
)
def test_credentials_go_to_files_on_the_same_host_only(href: str, url: str) -> None:
    page = html(f'<a href="{href}#sha256={SHA}">foo-1.zip</a>')
    assert parse_project(page, FOO, credentials="me:secret@127.0.0.1").files[0].url == url


@pytest.mark.parametrize(
    "url",
    [
        "foo-1.zip",
        "../../f/foo-1.zip?a=b#sha256=c",
        "/f/foo-1.zip",
        "/f/../foo-1.zip",
        "/../foo-1.zip",
        "//elsewhere/foo-1.zip",
        "/?foo-1.zip",
        "https://elsewhere:8443/f/foo-1.zip?a=http://x/",
        "https://me:secret@elsewhere/foo-1.zip",
        "http://elsewhere/f/../foo-1.zip",
        "https://elsewhere",
        "https://elsewhere?foo-1.zip",
        "https:///foo-1.zip",
        "file:///f/foo-1.zip",
    ],
)
@pytest.mark.parametrize("base", [URL, "https://elsewhere/simple/foo/", "file:///simple/foo/index.html"])
def test_where_a_url_on_a_json_page_leads(url: str, base: str) -> None:
    page = json_page([{"filename": "foo-1.zip", "url": url, "hashes": {}}], url=base)
    assert parse_project(page, FOO).files[0].url == urljoin(base, url)


def test_a_page_without_a_status() -> None:
    for status in (None, {}, {"status": None, "reason": None}):
        project = parse_project(json_page([], project_status=status), FOO)
        assert (project.status, project.status_reason) == ("active", "")


def test_a_time_without_a_zone_is_utc() -> None:
    entry = {"filename": "foo-1.zip", "url": "x", "hashes": {}, "upload-time": "2024-01-02T03:04:05"}
    (file,) = parse_project(json_page([entry]), FOO).files
    assert file.upload_time is not None and file.upload_time.isoformat() == "2024-01-02T03:04:05+00:00"


@pytest.mark.parametrize("value", [True, False, "", "broken"])
def test_yanked_on_a_json_page(value: bool | str) -> None:
    entry = {"filename": "foo-1.zip", "url": "x", "hashes": {}, "yanked": value}
    (file,) = parse_project(json_page([entry]), FOO).files
    assert file.yanked == (value is not False)
    assert file.yanked_reason == (value if isinstance(value, str) else "")


@pytest.mark.parametrize(
    "page",
    [
        html('<html><form action="/login"><input name="password"></form><a href="/help">Help</a></html>'),
        html(""),
        html("<![bad"),
        html('<a href="http://[::bad/foo-1.zip">foo-1.zip</a>'),
        Page(url=URL, content_type="application/json", body=b"\x00\xff rubbish"),
        Page(url=URL, content_type="application/json", body=b'{"message": "Not logged in"}'),
        Page(url=URL, content_type="application/json", body=b"[1, 2]"),
        Page(url=URL, content_type="application/json", body=b"[" * 100_000),
        Page(url=URL, content_type="", body=b'{"files": 1}'),
        json_page({"a": 1}),
        json_page([{"filename": "foo-1.zip"}]),
        json_page([{"filename": "foo-1.zip", "url": "x", "hashes": 3}]),
        json_page([7]),
        json_page([{"filename": "foo-1.zip", "url": "x", "hashes": {}, "core-metadata": 1}]),
        json_page([{"filename": "foo-1.zip", "url": "x", "hashes": {}, "yanked": 1}]),
        json_page([{"filename": "foo-1.zip", "url": "http://[::bad/foo-1.zip", "hashes": {}}]),
        json_page([], meta={"api-version": "new"}),
    ],
)
def test_what_is_no_page_of_an_index(page: Page) -> None:
    with pytest.raises(FetchError, match="no page of a package index") as caught:
        parse_project(page, FOO)
    assert caught.value.where == URL and caught.value.exit_code == 30


@pytest.mark.parametrize("version", ["1.99", "2.0"])
def test_newer_indexes(version: str) -> None:
    page = json_page([], meta={"api-version": version})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if version == "1.99":
            assert parse_project(page, FOO).files == ()
        else:
            with pytest.raises(FetchError, match=r"version 2\.0 of the simple API"):
                parse_project(page, FOO)


FILES = {
    "home/.config/pip/pip.conf": "[global]\nindex-url = http://user/\n",
    "home/.pip/pip.conf": "[global]\nindex-url = http://legacy/\n",
    "etc/pip.conf": "[global]\nindex-url = http://etc/\n",
    "prefix/pip.conf": "[global]\nindex-url = http://prefix/\n",
    "own.conf": "[global]\nindex-url = http://own/\n",
    "install.conf": "[install]\nindex_url = http://install/\n[global]\nindex-url = http://global/\n",
    "home/.config/uv/uv.toml": '[[index]]\nurl = "http://more/"\n[[index]]\nurl = "http://uv/"\ndefault = true\n',
    "etc/uv/uv.toml": 'index-url = "http://uv-etc/"\n',
}


@pytest.mark.parametrize(
    ("files", "environ", "index"),
    [
        ((), {}, None),
        (("etc/pip.conf",), {"PIP_INDEX_URL": "http://pip/"}, "http://pip/"),
        ((), {"PIP_INDEX_URL": "http://pip/", "UV_INDEX_URL": "http://uv/"}, "http://uv/"),
        ((), {"UV_DEFAULT_INDEX": "mine=http://uv/?a=b"}, "http://uv/?a=b"),
        ((), {"UV_DEFAULT_INDEX": "http://uv/?a=b"}, "http://uv/?a=b"),
        (("etc/pip.conf",), {}, "http://etc/"),
        (("etc/pip.conf", "home/.pip/pip.conf"), {}, "http://legacy/"),
        (("home/.config/pip/pip.conf", "home/.pip/pip.conf"), {}, "http://user/"),
        (("home/.config/pip/pip.conf", "prefix/pip.conf"), {}, "http://prefix/"),
        (("etc/pip.conf", "own.conf"), {"PIP_CONFIG_FILE": "own.conf"}, "http://own/"),
        (("home/.config/pip/pip.conf", "install.conf"), {"PIP_CONFIG_FILE": "install.conf"}, "http://install/"),
        (("etc/pip.conf", "prefix/pip.conf"), {"PIP_CONFIG_FILE": "/dev/null"}, None),
        (("etc/uv/uv.toml",), {}, "http://uv-etc/"),
        (("etc/uv/uv.toml", "home/.config/uv/uv.toml"), {}, "http://uv/"),
        (("etc/uv/uv.toml", "home/.config/uv/uv.toml"), {"UV_NO_CONFIG": "1"}, None),
    ],
)
def test_default_index(tmp_path: Path, files: tuple[str, ...], environ: Mapping[str, str], index: str | None) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(FILES[name])
    environ = {"HOME": str(tmp_path / "home")} | dict(environ)
    if environ.get("PIP_CONFIG_FILE", "/").endswith(".conf"):
        environ["PIP_CONFIG_FILE"] = str(tmp_path / environ["PIP_CONFIG_FILE"])
    found = default_index(environ, system=tmp_path / "etc", prefix=tmp_path / "prefix")
    if index is None:
        from pypi_simple import PYPI_SIMPLE_ENDPOINT

        assert (found.url, found.told_by) == (PYPI_SIMPLE_ENDPOINT, "")
    else:
        assert found.url == index
        assert (tmp_path / found.told_by).is_file() or environ[found.told_by].endswith(index)


@pytest.mark.parametrize("name", ["pip.conf", "uv/uv.toml"])
def test_settings_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "uv").mkdir()
    (tmp_path / name).write_text("rubbish")
    with pytest.raises(ConfigError) as caught:
        default_index({}, system=tmp_path)
    assert caught.value.where == str(tmp_path / name)
