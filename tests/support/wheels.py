"""Small wheels for tests, sound ones and nasty ones."""

from __future__ import annotations

import base64
import hashlib
import random
import stat
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pybuilder.layout import Layout
from pybuilder.store import Store
from pybuilder.wheel.canonical import Payload, canonicalise

EPOCH = 1_600_000_000  # 2020-09-13 12:26:40 UTC


def digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@dataclass(kw_only=True)
class Draft:
    """A wheel in the making; change a field and ``write`` it. ``None`` leaves a file of dist-info out."""

    name: str = "demo"
    version: str = "1.0"
    tag: str = "py3-none-any"
    build: str = ""
    files: Mapping[str, bytes] = field(default_factory=lambda: {"demo/__init__.py": b"VALUE = 1\n"})
    executable: Iterable[str] = ()
    prefix: str = ""
    filename: str = ""
    metadata: bytes | None = b""
    wheel: bytes | None = b""
    record: bytes | None = b""
    entry_points: str = ""
    extra_metadata: str = ""

    def dist_info(self) -> str:
        return (self.prefix or f"{self.name}-{self.version}") + ".dist-info"

    def contents(self) -> dict[str, bytes]:
        """All files by name, RECORD last."""
        info = self.dist_info()
        python, abi, platform = self.tag.split("-")
        tags = [f"{p}-{a}-{m}" for p in python.split(".") for a in abi.split(".") for m in platform.split(".")]
        fields = ["Wheel-Version: 1.0", "Generator: tests", f"Root-Is-Purelib: {str(abi == 'none').lower()}"]
        fields += [f"Tag: {tag}" for tag in tags] + ([f"Build: {self.build}"] if self.build else [])
        head = f"Metadata-Version: 2.4\nName: {self.name}\nVersion: {self.version}\n{self.extra_metadata}\n"
        parts = {
            "METADATA": self.metadata if self.metadata != b"" else head.encode(),
            "WHEEL": self.wheel if self.wheel != b"" else ("\n".join(fields) + "\n").encode(),
            "entry_points.txt": self.entry_points.encode() or None,
        }
        found = dict(self.files) | {f"{info}/{name}": data for name, data in parts.items() if data is not None}
        lines = [f"{name},{digest(data)},{len(data)}" for name, data in found.items()]
        made = "\n".join([*lines, f"{info}/RECORD,,", ""]).encode()
        record = made if self.record == b"" else self.record
        return found | ({f"{info}/RECORD": record} if record is not None else {})

    def write(self, directory: Path) -> Path:
        """Write the wheel; its entries have today's time of the tests' clock and are deflated."""
        build = f"-{self.build}" if self.build else ""
        path = directory / (self.filename or f"{self.name}-{self.version}{build}-{self.tag}.whl")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in self.contents().items():
                info = zipfile.ZipInfo(name, (2024, 1, 2, 3, 4, 6))
                info.external_attr = (0o100775 if name in self.executable else 0o100664) << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, data)
        return path


def stored_payload(layout: Layout, directory: Path, draft: Draft) -> tuple[Payload, Path]:
    """A draft's payload, in the store."""
    scratch = directory / "scratch.whl"
    payload = canonicalise(draft.write(directory), scratch, epoch=EPOCH)
    return payload, Store(layout).add_payload(scratch, sha256=payload.sha256, name=payload.filename)


def random_draft(seed: int) -> Draft:
    """A sound wheel with odd but legal features, the same one for the same seed."""
    dice = random.Random(seed)
    name = dice.choice(["demo", "Demo.Pkg", "demo_pkg", "de-mo", "d", "D3mo"])
    version = dice.choice(["1.0", "1.0.0", "1!2.0", "0.1rc1", "2.0.post1", "1.0+cu126", "1.0+a.1", "3.dev0"])
    prefix = f"{dice.choice([name, name.lower()]).replace('-', '_')}-{version}"
    files = {f"pkg{i}/ü{i} x.py" if dice.random() < 0.3 else f"pkg{i}/m.py": dice.randbytes(9 * i) for i in range(5)}
    if dice.random() < 0.5:
        files[f"{prefix}.data/scripts/tool"] = b"#!python\nprint('tool')\n"
        files[f'{prefix}.data/data/share/x,"y".txt'] = b"data"
    if dice.random() < 0.5:
        files[f"{prefix}.dist-info/sboms/upstream.cdx.json"] = b"{}"
        files[f"{prefix}.dist-info/licenses/LICENSE"] = b"MIT"
    end = dice.choice(["\n", "\r\n", "\r"])
    lines = ["Metadata-Version: 2.1", f"{dice.choice(['Version', 'version'])}:{dice.choice(['', ' ', '  '])}{version} "]
    lines += [
        f"Name: {name}",
        "Description: x",
        "        |Version: 9",
        "",
        "Version: 7",
        dice.choice(["", "no newline"]),
    ]
    return Draft(
        name=name.replace("-", "_"),
        version=version,
        prefix=prefix,
        tag=dice.choice(["py3-none-any", "py2.py3-none-any", "cp311-cp311-linux_x86_64"]),
        files=dict(dice.sample(sorted(files.items()), len(files))),
        executable=[path for path in (*files, f"{prefix}.dist-info/METADATA") if dice.random() < 0.3],
        metadata=end.join(lines).encode(),
    )


def _edited(change: Callable[[zipfile.ZipInfo], None], name: str = "demo/extra.py") -> Callable[[Path], Path]:
    """A wheel with one more entry, whose header ``change`` has spoilt."""

    def make(directory: Path) -> Path:
        path = Draft().write(directory)
        with zipfile.ZipFile(path, "a") as archive:
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o100644 << 16
            archive.writestr(info, b"")
            change(info)
        return path

    return make


def _named(name: str) -> Callable[[Path], Path]:
    return _edited(lambda info: None, name)


def _set(attribute: str, value: int) -> Callable[[zipfile.ZipInfo], None]:
    return lambda info: setattr(info, attribute, value)


def _twice(directory: Path) -> Path:
    path = Draft().write(directory)
    with zipfile.ZipFile(path, "a") as archive:
        archive.filelist.append(archive.infolist()[0])
        archive._didModify = True  # type: ignore[attr-defined]  # writestr itself would warn
    return path


def _cp437(directory: Path) -> Path:
    path = _named("demo/#.py")(directory)
    path.write_bytes(path.read_bytes().replace(b"demo/#.py", "demo/ü.py".encode("cp437")))
    return path


def _truncated(directory: Path) -> Path:
    path = Draft().write(directory)
    path.write_bytes(path.read_bytes()[:-40])
    return path


def _corrupt(directory: Path) -> Path:
    """One byte of one file's contents differs; the CRC notices."""
    path = Draft().write(directory)
    data = bytearray(path.read_bytes())
    data[len("demo/__init__.py") + 30 + 3] ^= 0xFF
    path.write_bytes(data)
    return path


# What each is called is part of what the refusal must say.
NASTY: dict[str, tuple[Callable[[Path], Path], str]] = {
    "traversal": (_named("../evil.py"), "'../evil.py' has a name that is absolute or leads out"),
    "inner traversal": (_named("demo/../../evil.py"), "leads out"),
    "absolute": (_named("/etc/evil"), "'/etc/evil' has a name that is absolute"),
    "dot": (_named("demo/./x"), "leads out"),
    "backslash": (_named("demo\\evil.py"), "backslash"),
    "newline": (_named("demo/a\nb.py"), "control character"),
    "NUL": (_edited(lambda info: setattr(info, "filename", "demo/extra.py\0.txt")), "control character"),
    "link": (_edited(_set("external_attr", (stat.S_IFLNK | 0o777) << 16)), "'demo/extra.py' is a link"),
    "device": (_edited(_set("external_attr", (stat.S_IFCHR | 0o666) << 16)), "special file"),
    "encrypted": (_edited(_set("flag_bits", 1)), "'demo/extra.py' is encrypted"),
    "lzma": (_edited(_set("compress_type", zipfile.ZIP_LZMA)), "neither stored nor deflated"),
    "cp437": (_cp437, "'demo/ü.py' has a name that is not marked as UTF-8"),
    "twice": (_twice, "'demo/__init__.py' is in the archive twice"),
    "file and directory": (_named("demo"), "'demo' is a file and a directory"),
    "two dist-infos": (_named("other-1.0.dist-info/METADATA"), "demo-1.0.dist-info, other-1.0.dist-info"),
    "foreign data": (_named("other-1.0.data/scripts/x"), "'other-1.0.data' is not that of its data directory"),
    "no dist-info": (lambda d: Draft(prefix="demo/nope").write(d), "needs one dist-info directory, and has none"),
    "wrong dist-info": (lambda d: Draft(prefix="demo-2.0").write(d), "demo-2.0.dist-info does not agree"),
    "no METADATA": (lambda d: Draft(metadata=None).write(d), "has no demo-1.0.dist-info/METADATA"),
    "no WHEEL": (lambda d: Draft(wheel=None).write(d), "has no demo-1.0.dist-info/WHEEL"),
    "no RECORD": (lambda d: Draft(record=None).write(d), "has no demo-1.0.dist-info/RECORD"),
    "truncated": (_truncated, "demo-1.0-py3-none-any.whl is damaged or no zip"),
    "bad file name": (lambda d: Draft(filename="demo.whl").write(d), "'demo.whl' is no wheel's file name"),
    "bad version": (lambda d: Draft(filename="demo-x-py3-none-any.whl").write(d), "is no wheel's file name"),
}
DAMAGED = _corrupt
