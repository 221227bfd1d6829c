"""The words of CycloneDX 1.6 JSON that our bills are written in, as plain values.

They are written by hand because cyclonedx-python-lib takes a tenth of a second to import, as much as all that is
written with a wheel may take; the tests validate them with it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from packaging.utils import canonicalize_name

from pybuilder.names import package_url

if TYPE_CHECKING:
    from packaging.metadata import RawMetadata

Component = dict[str, Any]

ROLE = "pybuild:role"
"""The property of a component that says what part it had."""

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:pybuild:sbom")
_SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"


def dump(
    subject: Component,
    components: Sequence[Component],
    *,
    depends: Mapping[str, Iterable[str]],
    tools: Sequence[Component],
    time: datetime,
    complete: bool,
) -> bytes:
    """A document's bytes, the same for the same contents.

    Args:
        subject: What it is a bill of.
        components: What belongs to it.
        depends: For a component's reference, the references of those that it consists of or needs.
        tools: What made it.
        time: When.
        complete: Whether all that the subject consists of could be told.
    """
    references = [subject["bom-ref"], *(each["bom-ref"] for each in components)]
    document: dict[str, Any] = {
        "metadata": {
            "timestamp": time.astimezone(UTC).isoformat(timespec="seconds"),
            "tools": {"components": list(tools)},
            "component": subject,
        },
        "components": sorted(components, key=lambda component: str(component["bom-ref"])),
        "dependencies": [
            {"ref": each} | ({"dependsOn": sorted(depends[each])} if depends.get(each) else {})
            for each in sorted(references)
        ],
    }
    if not complete:
        assemblies = {"aggregate": "incomplete_third_party_only", "assemblies": [subject["bom-ref"]]}
        document["compositions"] = [assemblies]
    body = _lines(document)
    number = uuid.uuid5(_NAMESPACE, body)
    head = {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": number.urn,
        "version": 1,
    }
    return _object(_lines(head), body)


def json_lines(document: Mapping[str, Any]) -> bytes:
    """JSON with a line for each key, and for each item of a list: for ``diff``, and ten times faster than indented."""
    return _object(_lines(document))


def _object(*parts: str) -> bytes:
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode()


def _lines(document: Mapping[str, Any]) -> str:
    found = []
    for key, value in document.items():
        items = ",\n".join(map(json.dumps, value)) if isinstance(value, list) else ""
        found.append(f"{json.dumps(key)}: " + (f"[\n{items}\n]" if items else json.dumps(value)))
    return ",\n".join(found)


def component(
    reference: str,
    name: str,
    version: str = "",
    *,
    role: str,
    kind: str = "library",
    sha256: str = "",
    purl: str = "",
    found_in: Iterable[str] = (),
    properties: Mapping[str, str] | None = None,
    **more: Any,
) -> Component:
    """One component.

    Args:
        reference: Names it within the document.
        name: Its name.
        version: Its version, if it has one.
        role: What part it had.
        kind: Its type, such as ``library`` or ``file``.
        sha256: Its digest, in lower-case hex, if known.
        purl: Its package URL, if it has one.
        found_in: The files in the wheel that tell of it.
        properties: What else is known.
        more: Further keys; those that are empty are left out.
    """
    named = {ROLE: role} | {key: value for key, value in (properties or {}).items() if value}
    optional = {
        "version": version,
        "hashes": hashes(sha256) if sha256 else (),
        "purl": purl,
        "evidence": {"occurrences": [{"location": each} for each in found]} if (found := list(found_in)) else (),
        **more,
    }
    return {
        "type": kind,
        "bom-ref": reference,
        "name": name,
        **{key: value for key, value in optional.items() if value},
        "properties": [{"name": key, "value": value} for key, value in named.items()],
    }


def project(raw: RawMetadata, version: str) -> dict[str, Any]:
    """What a component says of a Python project at some version, from its metadata: keywords of ``component``."""
    name = canonicalize_name(raw.get("name", ""))
    return {
        "name": name,
        "version": version,
        "purl": package_url("pypi", name, version),
        "description": raw.get("summary"),
        "licenses": _licences(raw),
    }


def hashes(sha256: str) -> list[dict[str, str]]:
    """A sha256 as a list of digests."""
    return [{"alg": "SHA-256", "content": sha256}]


def reference(url: str) -> str:
    """A URL, absolute or not, without what none may have (RFC 3987)."""
    return quote(url, safe="%:/?#[]@!$&'()*+,;=~")


def _licences(raw: RawMetadata) -> list[dict[str, Any]]:
    """The licence as METADATA states it: an SPDX expression (PEP 639), or whatever older metadata says."""
    if expression := raw.get("license_expression"):
        return [{"expression": expression}]
    stated = raw.get("license", "").strip()
    return [{"license": {"name": stated.splitlines()[0]}}] if stated else []
