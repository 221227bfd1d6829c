"""Small wheels, releases and served trees for tests of the published index."""

from __future__ import annotations

import base64
import hashlib
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from pybuilder.index import Index, Release, Source
from pybuilder.provenance import BILL
from pybuilder.signing import SUFFIX
from pybuilder.web.serve import listening
from tests.support import proofs
from tests.support.loopback import answering

NOON = datetime(2026, 1, 2, 12, 0, 0, 987654, tzinfo=UTC)


def make_wheel(
    directory: Path,
    name: str = "six",
    version: str = "1.17.0+pb.1",
    *,
    requires_python: str = ">=3.8",
    requires_dist: tuple[str, ...] = (),
    content: str = "x = 1\n",
    tag: str = "py3-none-any",
) -> Path:
    """A valid pure wheel with one module; the same arguments give the same bytes."""
    directory.mkdir(parents=True, exist_ok=True)
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Python: {requires_python}\n" if requires_python else ""
    metadata += "".join(f"Requires-Dist: {each}\n" for each in requires_dist)
    entries = {
        f"{module}.py": content,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    rows = [f"{path},sha256={_digest(text)},{len(text.encode())}\n" for path, text in entries.items()]
    entries[f"{info}/RECORD"] = "".join(rows) + f"{info}/RECORD,,\n"
    wheel = directory / f"{module}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in entries.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return wheel


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_release(
    wheel: Path,
    *,
    source: Path | None = None,
    record: Path | None = None,
    beside: Mapping[str, bytes] = MappingProxyType({}),
) -> Release:
    """A release with provenance beside it, whatever else is."""
    digest = sha256(wheel)
    named = {f"files/{wheel.name}{BILL}": hashlib.sha256(beside[BILL]).hexdigest()} if BILL in beside else {}
    return Release(
        wheel=wheel,
        sha256=digest,
        upload_time=NOON,
        payload_sha256=hashlib.sha256(wheel.name.encode()).hexdigest(),
        source=Source(path=source, sha256=sha256(source)) if source else None,
        record=record,
        beside={SUFFIX: proofs.envelope(wheel.name, digest, record=named), **beside},
    )


def make_source(directory: Path, filename: str = "six-1.17.0.tar.gz", content: bytes = b"source") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / filename
    path.write_bytes(content)
    return path


def open_index(state: Path, channel: str = "host") -> Index:
    return Index(state / "index" / channel, lock=state / "locks" / f"index-{channel}.lock")


def tree_bytes(root: Path) -> dict[str, bytes]:
    """Every file below a directory and its bytes."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def clean_environment(home: Path) -> dict[str, str]:
    """An environment in which pip and uv know of no index but the one they are told of."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    return kept | {
        "HOME": str(home),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_CACHE_DIR": "1",
        "UV_CACHE_DIR": str(home / "uv-cache"),
        "UV_PYTHON_DOWNLOADS": "never",
    }


@contextmanager
def served(root: Path) -> Iterator[str]:
    """The URL at which the channels below a directory are served meanwhile."""
    with listening(root) as server, answering(server):
        yield server.url
