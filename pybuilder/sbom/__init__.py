"""Bills of materials in CycloneDX 1.6 JSON: of a wheel, which it carries (PEP 770), and of its whole build, beside it.

The wheel is described as a component whose pedigree is upstream's release: that is how CycloneDX says "rebuilt from".
So a scanner finds both the version that is installed and the one that advisories speak of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pybuilder.names import package_url
from pybuilder.plan import Plan
from pybuilder.sbom.cargo import Crate
from pybuilder.sbom.document import Component, component, dump, hashes, project, reference
from pybuilder.wheel.bundled import Bundled, BundledFile, Vendored

if TYPE_CHECKING:
    from packaging.metadata import RawMetadata


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """The source archive that a wheel was built from, or upstream's wheel that was used in place of a build.

    Attributes:
        filename: Its file name.
        sha256: Its digest, in lower-case hex.
        url: Where it came from: of an index, a git repository, a file; empty where it came from the workspace.
    """

    filename: str
    sha256: str
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchNote:
    """A patch that was applied to the source.

    Attributes:
        filename: Its path in the workspace, such as ``patches/six/0001-fix.patch``.
        sha256: Its digest, in lower-case hex.
    """

    filename: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What a numbered wheel is made of.

    Attributes:
        metadata: METADATA of the payload, for the name, upstream's version, the summary and the licence.
        version: The numbered version, such as ``1.2.3+pb.2``.
        payload_sha256: The digest that stripping the number gives back.
        origin: The source archive.
        patches: The patches, in the order they were applied.
        bundled: What the payload bundles.
        crates: The crates that the source locks; None where it locks none and there is code from Rust all the same.
        epoch: SOURCE_DATE_EPOCH, the time of what the wheel carries.
    """

    metadata: bytes
    version: str
    payload_sha256: str
    origin: Origin
    patches: Sequence[PatchNote]
    bundled: Bundled
    crates: Sequence[Crate] | None
    epoch: int


def wheel_sbom(contents: Contents) -> bytes:
    """The bill of materials that a numbered wheel carries.

    Nothing is in it but what follows from payload, source and patches, and the number: not where the source was
    fetched from, for one, which differs from mirror to mirror.
    """
    raw = _parsed(contents.metadata)
    wheel, parts = _wheel(raw, contents), [_source(raw, contents.origin, url=""), *_parts(contents)]
    return dump(
        wheel,
        parts,
        depends={wheel["bom-ref"]: [part["bom-ref"] for part in parts]},
        tools=[component("pybuild", "pybuild", role="tool", kind="application")],
        time=datetime.fromtimestamp(contents.epoch, UTC),
        complete=contents.crates is not None,
    )


def build_sbom(contents: Contents, *, sha256: str, account: Mapping[str, Any], plan: Plan) -> bytes:
    """The bill of materials of a whole build: what the wheel is made of, and all that was there when it was made.

    Args:
        contents: What the wheel is made of.
        sha256: The numbered wheel's digest, in lower-case hex.
        account: The record of the attempt that made its payload.
        plan: What was planned for it.
    """
    raw = _parsed(contents.metadata)
    source = _source(raw, contents.origin, url=contents.origin.url)
    wheel = _wheel(raw, contents) | {"hashes": hashes(sha256)}
    parts = [source, *_parts(contents)]
    patches = [_patch(patch) for patch in contents.patches]
    environment = [_ingredient(each.name, each.version, each.payload) for each in plan.environment]
    root, rpms = _root(plan), _rpms(plan)
    # Upstream's wheel was taken as it is: nothing was there when it was made that we know of.
    around = [] if account.get("prebuilt") else [*environment, root, *rpms]
    return dump(
        wheel,
        [*parts, *patches, *around],
        depends={
            wheel["bom-ref"]: [part["bom-ref"] for part in parts],
            source["bom-ref"]: [patch["bom-ref"] for patch in patches],
            root["bom-ref"]: [rpm["bom-ref"] for rpm in rpms],
        },
        tools=[_tool(name, str(version)) for name, version in sorted(account["tools"].items())],
        time=datetime.fromisoformat(account["started"]),
        complete=contents.crates is not None,
    )


def _parsed(metadata: bytes) -> RawMetadata:
    from packaging.metadata import parse_email

    return parse_email(metadata)[0]


def _source(raw: RawMetadata, origin: Origin, *, url: str) -> Component:
    """Upstream's release: the archive that was built, or the wheel that was used."""
    is_wheel = origin.filename.endswith(".whl")
    kind = "distribution" if is_wheel else "source-distribution"
    return component(
        "source",
        **project(raw, raw.get("version", "")),
        role="prebuilt" if is_wheel else "source",
        sha256=origin.sha256,
        properties={"pybuild:file": origin.filename},
        externalReferences=[{"type": kind, "url": reference(url), "hashes": hashes(origin.sha256)}] if url else [],
    )


def _wheel(raw: RawMetadata, contents: Contents) -> Component:
    """The wheel itself, with upstream's release as its ancestor."""
    ancestor = component("upstream", **project(raw, raw.get("version", "")), role="upstream")
    patches = [{"type": "unofficial", "diff": {"url": reference(patch.filename)}} for patch in contents.patches]
    notes = "; ".join(f"{patch.filename} sha256:{patch.sha256}" for patch in contents.patches)
    return component(
        "wheel",
        **project(raw, contents.version),
        role="wheel",
        properties={"pybuild:payload:sha256": contents.payload_sha256},
        externalReferences=[
            {"type": "bom", "url": reference(bill.path), "hashes": hashes(bill.sha256)}
            for bill in contents.bundled.bills
        ],
        pedigree={"ancestors": [ancestor]} | ({"patches": patches, "notes": notes} if patches else {}),
    )


def _parts(contents: Contents) -> Iterator[Component]:
    """What the wheel bundles of others."""
    yield from map(_vendored, contents.bundled.packages)
    yield from map(_library, contents.bundled.libraries)
    yield from map(_crate, contents.crates or ())


def _vendored(package: Vendored) -> Component:
    raw = _parsed(package.metadata) if package.metadata else {"name": package.name}
    facts = project(raw, package.version)
    return component(f"vendored:{facts['purl']}", **facts, role="vendored", found_in=package.found_in)


def _library(file: BundledFile) -> Component:
    return component(f"library:{file.path}", file.name, role="library", sha256=file.sha256, found_in=[file.path])


def _crate(crate: Crate) -> Component:
    url, _, commit = crate.source.removeprefix("git+").partition("#")
    vcs_url = f"git+{url.partition('?')[0]}@{commit}" if crate.source.startswith("git+") else ""
    return component(
        f"crate:{crate.name}@{crate.version} {crate.source} {crate.locked_in}",
        crate.name,
        crate.version,
        role="crate",
        sha256=crate.sha256,
        purl=package_url("cargo", crate.name, crate.version, vcs_url=vcs_url),
        properties={"pybuild:locked-in": crate.locked_in, "pybuild:locked-source": crate.source},
    )


def _patch(patch: PatchNote) -> Component:
    return component(f"patch:{patch.filename}", patch.filename, role="patch", kind="file", sha256=patch.sha256)


def _ingredient(name: str, version: str, payload: str) -> Component:
    """A wheel of the build environment; what was there is its payload, whatever number that was published under."""
    return component(
        f"environment:{payload}",
        name,
        version,
        role="environment",
        sha256=payload,
        purl=package_url("pypi", name, version),
        scope="excluded",
    )


def _root(plan: Plan) -> Component:
    """What lay under the build: the locked RPMs, or a machine of which only digests are known."""
    known = {key: value for key, value in plan.root.contents.items() if isinstance(value, str)}
    properties = {"pybuild:root:kind": plan.root.kind, "pybuild:root:digest": plan.root.digest}
    return component(
        "root",
        str(known.pop("distribution", plan.root.kind)),
        str(known.pop("release", "")),
        role="root",
        kind="operating-system",
        scope="excluded",
        properties=properties
        | {"pybuild:target": plan.target.name, "pybuild:python": plan.target.full_version}
        | {f"pybuild:root:{key}": str(value) for key, value in sorted(known.items())},
    )


def _rpms(plan: Plan) -> list[Component]:
    contents = plan.root.contents
    namespace, release = contents.get("distribution", ""), contents.get("release", "")
    distro = f"{namespace}-{release}" if namespace else ""
    return [_rpm(rpm, namespace, distro) for rpm in contents.get("rpms", ())]


def _rpm(rpm: Mapping[str, Any], namespace: str, distro: str) -> Component:
    evr, _, arch = rpm["evra"].rpartition(".")
    epoch, _, version = evr.rpartition(":")
    purl = package_url(
        "rpm",
        rpm["name"],
        version,
        namespace=namespace,
        arch=arch,
        distro=distro,
        epoch=epoch if epoch != "0" else "",
        upstream=rpm["source"],
    )
    return component(
        f"rpm:{rpm['sha256']}",
        rpm["name"],
        evr,
        role="rpm",
        sha256=rpm["sha256"],
        purl=purl,
        scope="excluded",
        properties={
            "pybuild:rpm:repository": rpm["repository"],
            "pybuild:rpm:key": rpm["key"],
            # Nothing tells afterwards which archives were linked; distributions keep them in RPMs of such names.
            "pybuild:rpm:static": "libraries that may have been linked in" if rpm["name"].endswith("-static") else "",
        },
    )


def _tool(name: str, version: str) -> Component:
    return component(f"tool:{name}", name, version, role="tool", kind="application")
