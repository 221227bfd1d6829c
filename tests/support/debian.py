"""A distribution made to test with: Debian's packages as signed RPMs under the names that Fedora has for them.

It is made once for all test workers and kept outside the checkout, filed under the digest of what it is made from:
this file and the packages' digests. Needs root, and Debian's ``rpm createrepo-c``. What Debian does in maintainer
scripts is not done; ``LINKS`` and ``_prepare`` make up for what the tests need of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pybuilder.files import file_lock, write_atomic

_ROOTS = """
    bash coreutils findutils sed grep gawk tar gzip bzip2 xz-utils patch make diffutils debianutils libc-bin
    base-files base-passwd gcc g++ libc6-dev binutils python3 python3-dev pkgconf pkg-config
    libffi-dev libssl-dev zlib1g-dev libxml2-dev libxslt1-dev libyaml-dev libjpeg62-turbo-dev libopenblas-dev
    libfreetype-dev liblcms2-dev libtiff-dev libwebp-dev cmake ninja-build rustc-web cargo-web patchelf git
    rpm util-linux mount
"""

# Fedora's name for a Debian package; any other lib*-dev is a lib*-devel, and the rest keep their names.
NAMES = {
    "base-files": "filesystem",
    "base-passwd": "setup",
    "cargo-web": "cargo",
    "debianutils": "which",
    "g++": "gcc-c++",
    "git": "git-core",
    "libbz2-1.0": "bzip2-libs",
    "libc-bin": "glibc-common",
    "libc6": "glibc",
    "libc6-dev": "glibc-devel",
    "libffi8": "libffi",
    "libfreetype-dev": "freetype-devel",
    "libfreetype6": "freetype",
    "libgcc-s1": "libgcc",
    "libjpeg62-turbo": "libjpeg-turbo",
    "libjpeg62-turbo-dev": "libjpeg-turbo-devel",
    "liblcms2-2": "lcms2",
    "liblcms2-dev": "lcms2-devel",
    "libopenblas0-pthread": "openblas-serial",  # which has libopenblas.so.0
    "libopenblas-dev": "openblas-devel",
    "libssl-dev": "openssl-devel",
    "libssl3": "openssl-libs",
    "libstdc++6": "libstdc++",
    "libtiff6": "libtiff",
    "libwebp7": "libwebp",
    "libxslt1-dev": "libxslt-devel",
    "libxslt1.1": "libxslt",
    "libyaml-0-2": "libyaml",
    "linux-libc-dev": "kernel-headers",
    "mount": "util-linux-core",
    "pkg-config": "pkgconf-pkg-config",
    "python3-dev": "python3-devel",
    "rustc-web": "rust",
    "xz-utils": "xz",
    "zlib1g": "zlib",
    "zlib1g-dev": "zlib-devel",
}

# What Debian needs to install and configure packages, and documentation that a build never opens.
IGNORED = re.compile(
    r"dpkg|dpkg-dev|debconf.*|cdebconf|install-info|init-system-helpers|adduser|ucf|media-types|libjs-.*|manpages.*"
    r"|git-man|perl-openssl-defaults|sensible-utils|libcrypt-dev-.*"
)

# Made by update-alternatives in Debian.
LINKS = {
    "bash": {"usr/bin/sh": "bash"},
    "gawk": {"usr/bin/awk": "gawk"},
    "gcc": {"usr/bin/cc": "gcc"},
    "gcc-c++": {"usr/bin/c++": "g++"},
    "which": {"usr/bin/which": "which.debianutils"},
    "openblas-serial": {
        f"usr/lib/x86_64-linux-gnu/{name}": f"openblas-pthread/{target}"
        for name, target in {
            "libopenblas.so.0": "libopenblas.so.0",
            "libblas.so.3": "libblas.so.3",
            "liblapack.so.3": "liblapack.so.3",
        }.items()
    },
    "libopenblas-pthread-devel": {
        "usr/lib/x86_64-linux-gnu/libopenblas.so": "openblas-pthread/libopenblas.so",
        "usr/lib/x86_64-linux-gnu/pkgconfig/openblas.pc": "../openblas-pthread/pkgconfig/openblas.pc",
    },
    "filesystem": {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"},
}

# Where scripts look for what is below /usr, and what Fedora's glibc says by hand.
PROVIDES = {"bash": ("/bin/sh", "/bin/bash"), "glibc": ("rtld(GNU_HASH)",)}

# Of one package in Fedora, of several in Debian.
REQUIRES = {"libwebp": ("libwebpmux3", "libwebpdemux2"), "util-linux": ("util-linux-core",)}

PYTHON = "/usr/bin/python3"
"""Debian's, whose bytecode it is."""

_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pybuild-tests"
"""Where what is made for tests is kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Package:
    debian: str
    name: str
    version: str
    source: str
    arch: str
    sha256: str
    requires: tuple[str, ...]
    recommends: tuple[str, ...]

    @property
    def evr(self) -> tuple[str, str, str]:
        epoch, _, rest = self.version.rpartition(":")
        version, _, release = rest.rpartition("-") if "-" in rest else (rest, "", "1")
        return epoch or "0", version.replace("-", "_"), release


def made() -> Path:
    """The distribution's directory, made now if it has not been: ``repository``, and ``test.asc``, its public key."""
    with file_lock(CACHE / "distribution.lock"):
        home = CACHE / f"distribution-{_digest(CACHE)}"
        if not home.is_dir():
            _forget_old(CACHE)
            with tempfile.TemporaryDirectory(prefix=".distribution-", dir=CACHE) as work:
                _make(_closure(_ROOTS.split()), Path(work)).rename(home)
        os.utime(home)
    return home


def _forget_old(cache: Path) -> None:
    for path in cache.glob("*-*"):
        if path.stat().st_mtime < time.time() - 14 * 86400:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _digest(cache: Path) -> str:
    """The digest of all inputs: how RPMs are made, and the packages; asking apt takes seconds, so it is remembered."""
    lists = sorted(Path("/var/lib/apt/lists").glob("*InRelease"))
    recipe = _sha256([Path(__file__).read_text(), *(file.read_text() for file in lists)])
    note = cache / f"inputs-{recipe}"
    if not note.exists():
        how, packages = Path(__file__).read_text(), _closure(_ROOTS.split())
        write_atomic(note, _sha256([how, *sorted(each.sha256 for each in packages.values())]).encode())
    return note.read_text()


def _sha256(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def make_key(home: Path, name: str = "pybuild test") -> tuple[Path, Path]:
    """A new RSA key, unprotected: the files of its public and its secret part."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet"]
    with _agent(home):
        _run([*gpg, "--passphrase", "", "--quick-generate-key", name, "rsa2048", "sign", "never"])
        for file, export in (("key.asc", "--export"), ("secret.asc", "--export-secret-keys")):
            (home / file).write_bytes(_run([*gpg, "--armor", export]))
    return home / "key.asc", home / "secret.asc"


@contextlib.contextmanager
def _agent(home: Path) -> Iterator[None]:
    try:
        yield
    finally:
        _run(["gpgconf", "--homedir", str(home), "--kill", "all"])


def _run(argv: Sequence[str | Path], cwd: Path | None = None) -> bytes:
    done = subprocess.run([*map(str, argv)], capture_output=True, cwd=cwd)
    assert done.returncode == 0, f"{argv}: {done.stderr.decode()[-3000:]}"
    return done.stdout


def _closure(roots: Sequence[str]) -> dict[str, _Package]:
    """All packages that the roots need, by Debian name; of alternatives the first that there is."""
    kinds = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
    listed = _run(["apt-cache", "depends", "--recurse", *(f"--no-{kind}" for kind in kinds), *roots]).decode()
    fields = _show(sorted(set(re.findall(r"^[a-z0-9][a-z0-9+.-]*$", listed, re.MULTILINE))))
    known: dict[str, Mapping[str, str]] = {}
    pending = list(roots)
    while pending:
        name = pending.pop()
        # A name that only others provide is not in the fields: there is nothing to fetch or to require.
        if name in fields and name not in known and not IGNORED.fullmatch(name):
            known[name] = fields[name]
            pending += _needs(fields[name], "Pre-Depends", "Depends")
    return {name: _package(each, known) for name, each in known.items()}


def _show(names: Sequence[str]) -> dict[str, dict[str, str]]:
    argv = ["apt-cache", "show", "--no-all-versions", *names]
    text = subprocess.run(argv, capture_output=True, text=True).stdout
    stanzas = [dict(re.findall(r"^([A-Z][\w-]*): (.*)$", stanza, re.MULTILINE)) for stanza in text.split("\n\n")]
    return {stanza["Package"]: stanza for stanza in stanzas if "Package" in stanza}


def _needs(fields: Mapping[str, str], *keys: str) -> list[str]:
    listed = ", ".join(fields[key] for key in keys if key in fields)
    return [re.split(r"[ :(]", clause.split("|")[0].strip())[0] for clause in listed.split(", ") if clause]


def _package(fields: Mapping[str, str], known: Mapping[str, Mapping[str, str]]) -> _Package:
    def named(*keys: str) -> tuple[str, ...]:
        return tuple(sorted({rpm_name(name) for name in _needs(fields, *keys) if name in known}))

    return _Package(
        debian=fields["Package"],
        name=rpm_name(fields["Package"]),
        version=fields["Version"],
        source=fields.get("Source", fields["Package"]).split(" ")[0],
        arch="noarch" if fields["Architecture"] == "all" else "x86_64",
        sha256=fields["SHA256"],
        requires=named("Pre-Depends", "Depends"),
        recommends=named("Recommends", "Suggests"),
    )


def rpm_name(debian: str) -> str:
    """The name that a Debian package has here."""
    return NAMES.get(debian) or re.sub(r"^(lib.*)-dev$", r"\1-devel", debian)


def _make(packages: Mapping[str, _Package], work: Path) -> Path:
    debs, home = work / "debs", work / "made"
    debs.mkdir()
    (home / "repository").mkdir(parents=True)
    _run(["apt-get", "download", "-q", *packages], cwd=debs)
    by_source = defaultdict(list)
    for package in packages.values():
        by_source[package.source].append(package)
    key, secret = make_key(work / "gpg")
    shutil.copy(key, home / "test.asc")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda source: _build(source, by_source[source], work), sorted(by_source)))
    _sign(sorted((home / "repository").rglob("*.rpm")), secret)
    _run(["createrepo_c", "--quiet", "--no-database", home / "repository"])
    return home


def _sign(files: Iterable[Path], secret: Path) -> None:
    import rpm_rs

    signer = rpm_rs.Signer.from_file(str(secret))
    for file in files:
        rpm_rs.Package.resign_in_place(str(file), signer)


def _build(source: str, packages: Sequence[_Package], work: Path) -> None:
    """The RPMs of one source package."""
    home = work / "sources" / source
    (home / "files").mkdir(parents=True)
    contents = {each.name: _unpack(each, work / "debs", home / "files") for each in packages}
    for name, listed in contents.items():
        lines = [_listed(path, home / "files") for path in sorted(listed)]
        (home / f"{name}.list").write_text("\n".join(lines) + "\n")
    spec = home / "x.spec"
    spec.write_text(_spec(source, packages, home, contents))
    where = {"_topdir": home, "_rpmdir": work / "made" / "repository", "_dbpath": home / "db"}
    defines = [part for name, value in where.items() for part in ("--define", f"{name} {value}")]
    _run(["rpmbuild", "-bb", "--quiet", "--target", "x86_64-linux", *defines, spec])
    shutil.rmtree(home)


def _unpack(package: _Package, debs: Path, files: Path) -> set[str]:
    """Unpack one Debian package with everything below /usr that belongs there, and say which files it has."""
    (deb,) = debs.glob(f"{package.debian}_*.deb")
    listed: set[str] = set()
    with tarfile.open(fileobj=io.BytesIO(_run(["dpkg-deb", "--fsys-tarfile", deb]))) as tar:
        for member in tar:
            name = _merged(member.name)
            if not name or re.match(r"usr/share/(locale|man|info|lintian)/", name):
                continue
            if member.issym() and _merged(str(Path("/", member.name).parent / member.linkname)) == name:
                continue
            if member.islnk():
                member.linkname = _merged(member.linkname)
            member.name = name
            # Debian's libraries are not executable, and rpm lists what executable ones provide.
            if member.isfile() and re.search(r"\.so(\.|$)", name):
                member.mode |= 0o111
            # The system's own directories belong to the one package that makes them.
            if member.isdir() and package.name != "filesystem":
                (files / name).mkdir(parents=True, exist_ok=True)
                continue
            tar.extract(member, files, filter="fully_trusted")
            listed.add(name)
    return listed | _compiled(listed, files) | _prepare(package, files)


def _compiled(listed: Iterable[str], files: Path) -> set[str]:
    """The bytecode of a package's modules, which Fedora ships and Debian makes when it installs them."""
    modules = [name for name in listed if re.match(r"usr/lib/python3[^/]*/(?!test/).*\.py$", name)]
    command = [PYTHON, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", files, "-p", "/"]
    if modules and Path(PYTHON).exists():
        subprocess.run([*command, "-i", "-"], cwd=files, input="\n".join(modules), text=True)
    caches = {Path(name).parent / "__pycache__" for name in modules}
    return {str(file.relative_to(files)) for cache in caches for file in (files / cache).glob("*.pyc")}


def _merged(name: str) -> str:
    """A path without leading slash, /bin, /sbin and /lib* below /usr."""
    path = os.path.normpath("/" + name).lstrip("/")
    return f"usr/{path}" if path.partition("/")[0] in _MERGED else path


def _listed(name: str, files: Path) -> str:
    path = files / name
    escaped = re.sub(r"([*?\[\]{}%])", lambda found: "%%" if found[1] == "%" else f"[{found[1]}]", name)
    escaped = name if name == "usr/bin/[" else escaped
    kind = "%dir " if path.is_dir() and not path.is_symlink() else ""
    doc = "%doc " if name.startswith("usr/share/doc/") and not kind else ""
    return f'{doc}{kind}"/{escaped}"'


def _prepare(package: _Package, files: Path) -> set[str]:
    """What Debian's maintainer scripts would have made."""
    made = set()
    for name, target in LINKS.get(package.name, {}).items():
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        if not (files / name).is_symlink() and not (files / name).exists():
            (files / name).symlink_to(target)
        made.add(name)
    if package.name == "setup":
        (files / "etc").mkdir(exist_ok=True)
        for name in ("passwd", "group"):
            shutil.copy(files / f"usr/share/base-passwd/{name}.master", files / "etc" / name)
            made.add(f"etc/{name}")
    if package.name == "filesystem":
        for name in ("usr/lib64", "dev", "etc", "proc", "sys", "tmp", "run", "root", "var", "var/tmp", "home"):
            (files / name).mkdir(parents=True, exist_ok=True)
            made.add(name)
        made |= {"usr", "usr/bin", "usr/sbin", "usr/lib", "usr/share"}
    return made


_PREAMBLE = """\
%global debug_package %{nil}
%global _build_id_links none
%global __os_install_post %{nil}
%global __brp_mangle_shebangs %{nil}
%global _binary_payload w1.zstdio
%global _missing_doc_files_terminate_build 0
"""


def _spec(source: str, packages: Sequence[_Package], home: Path, contents: Mapping[str, set[str]]) -> str:
    by_name = {package.name: package for package in packages}
    # The one that is called as its source is goes first: its tags are the head's.
    first = by_name.pop(source, None)
    tags = _tags(first, contents[source]) if first else _version_tags(packages[0])
    lines = [_PREAMBLE, f"Name: {source}", *tags, "%description", source]
    lines += ["%install", "mkdir -p %{buildroot}", f"cp -al {home}/files/. %{{buildroot}}/"]
    lines += [f"%files -f {home}/{source}.list"] if first else []
    for name, package in by_name.items():
        lines += [f"%package -n {name}", *_tags(package, contents[name]), f"%description -n {name}", name]
        lines += [f"%files -n {name} -f {home}/{name}.list"]
    return "\n".join(lines) + "\n"


def _version_tags(package: _Package) -> list[str]:
    epoch, version, release = package.evr
    lines = [f"Summary: {package.debian} of Debian", "License: Various", "AutoReq: no"]
    return [*lines, *([f"Epoch: {epoch}"] if epoch != "0" else []), f"Version: {version}", f"Release: {release}"]


def _tags(package: _Package, contents: Iterable[str]) -> list[str]:
    lines = [*_version_tags(package), *(["BuildArch: noarch"] if package.arch == "noarch" else [])]
    lines += [f"Requires: {name}" for name in (*package.requires, *REQUIRES.get(package.name, ()))]
    lines += [f"Recommends: {name}" for name in package.recommends]
    lines += [f"Provides: {path}" for path in PROVIDES.get(package.name, ())]
    # rpm's own generators for these know Fedora's directories only.
    for path in sorted(contents):
        if found := re.search(r"/pkgconfig/(.+)\.pc$|/cmake/.*?/?([^/]+?)(?:Config|-config)\.cmake$", path):
            lines.append(f"Provides: pkgconfig({found[1]})" if found[1] else f"Provides: cmake({found[2]})")
    # Directories of the system must be there before anything else is put into them.
    return lines + (["Requires(pre): filesystem"] if package.name != "filesystem" else [])
