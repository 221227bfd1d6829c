"""Repositories of made-up RPMs, written in milliseconds: metadata as createrepo_c writes it, and files of any bytes."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.sax.saxutils import quoteattr

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_SIGNS = {"=": "EQ", "<": "LT", ">": "GT", "<=": "LE", ">=": "GE"}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstd.compress,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fake:
    """One RPM; dependencies read as in a spec file: ``b >= 2``, ``(b if c)``; ``before`` is ``Requires(pre)``."""

    name: str
    evr: str = "1-1"
    arch: str = "x86_64"
    provides: Sequence[str] = ()
    requires: Sequence[str] = ()
    before: Sequence[str] = ()
    recommends: Sequence[str] = ()
    conflicts: Sequence[str] = ()
    obsoletes: Sequence[str] = ()
    files: Sequence[str] = ()
    source: str = ""
    content: bytes | None = None

    @property
    def body(self) -> bytes:
        """The file's bytes."""
        return f"{self.name}-{self.evr}.{self.arch}".encode() if self.content is None else self.content

    @property
    def sha256(self) -> str:
        """The file's digest."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def location(self) -> str:
        """The file, below the repository's URL."""
        return f"Packages/{self.name}-{self.evr.rpartition(':')[2]}.{self.arch}.rpm"


def write_repository(
    home: Path, packages: Iterable[Fake], *, packed: str = ".gz", files: bool = True, updateinfo: str = ""
) -> Path:
    """Write a repository.

    Args:
        home: Its directory.
        packages: What is in it.
        packed: The suffix of the list's compression.
        files: Whether the RPMs' files are written as well.
        updateinfo: What it says of its updates, as ``updateinfo_xml`` writes it.
    """
    packages = tuple(packages)
    for package in packages if files else ():
        file = home / package.location
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(package.body)
    data = PACKERS[packed](primary_xml(packages).encode())
    digest = hashlib.sha256(data).hexdigest()
    (home / "repodata").mkdir(parents=True, exist_ok=True)
    (home / "repodata" / f"{digest}-primary.xml{packed}").write_bytes(data)
    repomd = repomd_xml(f"repodata/{digest}-primary.xml{packed}", digest, data)
    if updateinfo:
        data = PACKERS[packed](updateinfo.encode())
        digest, location = hashlib.sha256(data).hexdigest(), f"repodata/updateinfo.xml{packed}"
        (home / location).write_bytes(data)
        entry = f'<checksum type="sha256">{digest}</checksum><location href="{location}"/><size>{len(data)}</size>'
        repomd = repomd.replace("</repomd>", f'<data type="updateinfo">{entry}</data></repomd>')
    (home / "repodata" / "repomd.xml").write_text(repomd)
    return home


@contextmanager
def serve(home: Path, answer: Callable[[str], int | None] = lambda path: None) -> Iterator[str]:
    """The URL at which a directory is served on loopback.

    Args:
        home: The directory.
        answer: Told the path of each request; gives the status of an error to answer with, or None.
    """

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if status := answer(self.path):
                self.send_error(status)
            else:
                super().do_GET()

        def log_message(self, *args: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(home))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def repomd_xml(location: str, digest: str, data: bytes) -> str:
    """A repomd.xml that names one list of packages."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>1</revision>
<data type="filelists"><checksum type="sha256">{"0" * 64}</checksum><location href="repodata/filelists.xml.gz"/></data>
<data type="primary"><checksum type="sha256">{digest}</checksum><location href="{location}"/><size>{len(data)}</size>
</data></repomd>
"""


def updateinfo_xml(*updates: tuple[str, str, Sequence[Fake]]) -> str:
    """What a repository says of its updates: kind (``security``, ``bugfix``), id, and the RPMs that each brings."""
    told = ""
    for kind, identity, packages in updates:
        rpms = ""
        for each in packages:
            epoch, version, release = _split(each.evr)
            rpms += f'<package name="{each.name}" version="{version}" release="{release}" epoch="{epoch}"'
            rpms += f' arch="{each.arch}"><filename>{each.name}.rpm</filename></package>\n'
        told += f'<update from="x" status="stable" type="{kind}" version="2.0"><id>{identity}</id><title>x</title>'
        told += f'<pkglist><collection short="F45"><name>F45</name>{rpms}</collection></pkglist></update>\n'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<updates>\n{told}</updates>\n'


def metalink_xml(urls: Sequence[str], repomd: bytes, *, older: Sequence[bytes] = ()) -> bytes:
    """A metalink as Fedora's MirrorManager writes it; ``older`` are former states that mirrors may still have."""

    def verification(data: bytes) -> str:
        hashes = "".join(
            f'<hash type="{name}">{hashlib.new(name, data).hexdigest()}</hash>' for name in ("md5", "sha1", "sha256")
        )
        return f"<size>{len(data)}</size><verification>{hashes}</verification>"

    alternates = "".join(f"<mm0:alternate>{verification(data)}</mm0:alternate>" for data in older)
    listed = "".join(
        f'<url protocol="{url.partition(":")[0]}" preference="{100 - n}">{url}/repodata/repomd.xml</url>'
        for n, url in enumerate(urls)
    )
    return f"""<?xml version="1.0" encoding="utf-8"?>
<metalink version="3.0" xmlns="http://www.metalinker.org/" xmlns:mm0="http://fedorahosted.org/mirrormanager">
<files><file name="repomd.xml"><mm0:timestamp>1</mm0:timestamp>{verification(repomd)}
<mm0:alternates>{alternates}</mm0:alternates><resources maxconnections="1">{listed}</resources></file>
</files></metalink>
""".encode()


def primary_xml(packages: Sequence[Fake]) -> str:
    """The list of packages."""
    head = '<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm"'
    return f'<?xml version="1.0"?>\n{head} packages="{len(packages)}">{"".join(map(_package, packages))}</metadata>\n'


def _package(package: Fake) -> str:
    epoch, version, release = _split(package.evr)
    own = f"{package.name} = {package.evr}"
    source = package.source or f"{package.name}-{version}-{release}.src.rpm"
    lists = {
        "provides": (own, *package.provides),
        "recommends": package.recommends,
        "conflicts": package.conflicts,
        "obsoletes": package.obsoletes,
    }
    deps = "".join(f"<rpm:{kind}>{''.join(map(_entry, each))}</rpm:{kind}>" for kind, each in lists.items() if each)
    before = "".join(_entry(each).replace("/>", ' pre="1"/>') for each in package.before)
    deps += f"<rpm:requires>{''.join(map(_entry, package.requires))}{before}</rpm:requires>"
    return (
        f'<package type="rpm"><name>{package.name}</name><arch>{package.arch}</arch>'
        f'<version epoch="{epoch}" ver="{version}" rel="{release}"/>'
        f'<checksum type="sha256" pkgid="YES">{package.sha256}</checksum><summary/><description/>'
        f'<size package="{len(package.body)}" installed="1" archive="1"/><location href="{package.location}"/>'
        f"<format><rpm:sourcerpm>{source}</rpm:sourcerpm>{deps}"
        f"{''.join(f'<file>{file}</file>' for file in package.files)}</format></package>\n"
    )


def _entry(text: str) -> str:
    if text.startswith("(") or " " not in text:
        return f"<rpm:entry name={quoteattr(text)}/>"
    name, sign, evr = text.split(" ")
    epoch, version, release = _split(evr)
    rel = f' rel="{release}"' if release else ""
    return f'<rpm:entry name={quoteattr(name)} flags="{_SIGNS[sign]}" epoch="{epoch}" ver="{version}"{rel}/>'


def _split(evr: str) -> tuple[str, str, str]:
    epoch, _, rest = evr.rpartition(":")
    version, _, release = rest.partition("-")
    return epoch or "0", version, release
