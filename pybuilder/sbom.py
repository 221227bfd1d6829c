"""The bill of materials that a numbered wheel carries (PEP 770): CycloneDX 1.6 JSON, the same bytes for the same wheel.

The wheel is described as a component whose pedigree is upstream's release: that is how CycloneDX says "rebuilt from".
So a scanner finds both the version that is installed and the one that advisories speak of.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from cyclonedx.model.component import Component
    from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
    from packaging.metadata import RawMetadata

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:pybuild:sbom")


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


def wheel_sbom(
    *,
    metadata: bytes,
    version: str,
    payload_sha256: str,
    origin: Origin,
    patches: Sequence[PatchNote] = (),
    epoch: int,
) -> bytes:
    """The bill of materials of one numbered wheel.

    Args:
        metadata: METADATA of the payload, for the name, upstream's version, the summary and the licence.
        version: The numbered version, such as ``1.2.3+pb.2``.
        payload_sha256: The digest that stripping the number gives back.
        origin: The source archive.
        patches: The patches, in the order they were applied.
        epoch: SOURCE_DATE_EPOCH, the document's time.
    """
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.tool import ToolRepository
    from cyclonedx.output.json import JsonV1Dot6
    from packaging.metadata import parse_email

    raw, _ = parse_email(metadata)
    source = _source(raw, origin)
    wheel = _wheel(raw, version, payload_sha256, patches)
    tool = Component(name="pybuild", type=ComponentType.APPLICATION, bom_ref="pybuild")
    facts = [metadata.hex(), version, payload_sha256, asdict(origin), [asdict(patch) for patch in patches], epoch]
    bom = Bom(
        serial_number=uuid.uuid5(_NAMESPACE, json.dumps(facts)),
        components=[source],
        metadata=BomMetaData(
            component=wheel,
            timestamp=datetime.fromtimestamp(epoch, UTC),
            tools=ToolRepository(components=[tool]),
        ),
    )
    bom.register_dependency(wheel, [source])
    return JsonV1Dot6(bom).output_as_string(indent=1).encode() + b"\n"


def _source(raw: RawMetadata, origin: Origin) -> Component:
    """Upstream's release: the archive that was built, or the wheel that was used."""
    from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
    from cyclonedx.model.component import Component

    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=origin.sha256)]
    wheel = origin.filename.endswith(".whl")
    kind = ExternalReferenceType.DISTRIBUTION if wheel else ExternalReferenceType.SOURCE_DISTRIBUTION
    return Component(
        **_common(raw, raw.get("version", "")),
        hashes=hashes,
        external_references=[ExternalReference(type=kind, url=XsUri(origin.url), hashes=hashes)] if origin.url else [],
        properties=[Property(name="pybuild:prebuilt" if wheel else "pybuild:source", value=origin.filename)],
    )


def _wheel(raw: RawMetadata, version: str, payload_sha256: str, patches: Sequence[PatchNote]) -> Component:
    """The wheel itself, with upstream's release as its ancestor."""
    from cyclonedx.model import Property, XsUri
    from cyclonedx.model.component import Component, Diff, Patch, PatchClassification, Pedigree

    notes = "; ".join(f"{patch.filename} sha256:{patch.sha256}" for patch in patches)
    ancestor = Component(**_common(raw, raw.get("version", "")))
    ancestor.bom_ref.value = "upstream"  # a reference may stand once in a document
    diffs = [Diff(url=XsUri(patch.filename)) for patch in patches]
    return Component(
        **_common(raw, version),
        properties=[Property(name="pybuild:payload:sha256", value=payload_sha256)],
        pedigree=Pedigree(
            ancestors=[ancestor],
            patches=[Patch(type=PatchClassification.UNOFFICIAL, diff=diff) for diff in diffs],
            notes=notes or None,
        ),
    )


def _common(raw: RawMetadata, version: str) -> dict[str, Any]:
    """What a component of this project has at any version; its reference is its package URL."""
    from packageurl import PackageURL

    name = canonicalize_name(raw.get("name", ""))
    purl = PackageURL("pypi", None, name, version)
    return {
        "name": name,
        "version": version,
        "purl": purl,
        "bom_ref": str(purl),
        "description": raw.get("summary"),
        "licenses": _licences(raw),
    }


def _licences(raw: RawMetadata) -> list[LicenseExpression | DisjunctiveLicense]:
    """The licence as METADATA states it: an SPDX expression (PEP 639), or whatever older metadata says."""
    from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression

    if expression := raw.get("license_expression"):
        return [LicenseExpression(expression)]
    stated = raw.get("license", "").strip()
    return [DisjunctiveLicense(name=stated.splitlines()[0])] if stated else []
