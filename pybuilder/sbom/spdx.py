"""Our bills of materials in SPDX 2.3 JSON, for those who can't read CycloneDX."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pybuilder.sbom.document import ROLE, json_lines

_Json = dict[str, Any]

_NONE = "NOASSERTION"
_WHEEL = "SPDXRef-wheel"
# A file on somebody's disk is no place to download from.
_DOWNLOAD = re.compile(r"(?:git\+)?(?:https?|ssh|git)://")
# The kind of SPDX package, and how the wheel relates to it: forwards, or it to the wheel.
_ROLES = {
    "source": ("SOURCE", "GENERATED_FROM", True),
    "prebuilt": ("ARCHIVE", "GENERATED_FROM", True),
    "patch": ("FILE", "PATCH_FOR", False),
    "vendored": ("LIBRARY", "CONTAINS", True),
    "library": ("LIBRARY", "CONTAINS", True),
    "crate": ("LIBRARY", "CONTAINS", True),
    "environment": ("LIBRARY", "BUILD_DEPENDENCY_OF", False),
    "rpm": ("LIBRARY", "BUILD_DEPENDENCY_OF", False),
    "root": ("OPERATING-SYSTEM", "BUILD_DEPENDENCY_OF", False),
    "tool": ("APPLICATION", "BUILD_TOOL_OF", False),
}


def spdx(bill: Mapping[str, Any]) -> bytes:
    """The same bill as SPDX 2.3.

    Args:
        bill: The CycloneDX document that `build_sbom` wrote.

    Raises:
        KeyError, TypeError, ValueError: It is no such document.
    """
    wheel, tools = bill["metadata"]["component"], bill["metadata"]["tools"]["components"]
    others = {f"SPDXRef-{number}": each for number, each in enumerate((*bill["components"], *tools), start=1)}
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{wheel['name']}-{wheel['version']}",
        "documentNamespace": bill["serialNumber"],
        "creationInfo": {
            "created": _time(bill["metadata"]["timestamp"]),
            "creators": [
                f"Tool: {each['name']}-{each.get('version', '')}" for each in tools if each["name"] == "pybuild"
            ],
        },
        "packages": [
            _package(_WHEEL, wheel, "ARCHIVE"),
            *(_package(name, each, _ROLES[_role(each)][0]) for name, each in others.items()),
        ],
        "relationships": [
            _relationship("SPDXRef-DOCUMENT", "DESCRIBES", _WHEEL),
            *(_related(name, each) for name, each in others.items()),
        ],
    }
    return json_lines(document)


def _package(name: str, component: _Json, purpose: str) -> _Json:
    url = next((each["url"] for each in component.get("externalReferences", ()) if "distribution" in each["type"]), "")
    found: _Json = {
        "SPDXID": name,
        "name": component["name"],
        "downloadLocation": url if _DOWNLOAD.match(url) else _NONE,
        "filesAnalyzed": False,
        "licenseConcluded": _NONE,
        "licenseDeclared": _licence(component),
        "copyrightText": _NONE,
        "primaryPackagePurpose": purpose,
        "comment": "; ".join(f"{each['name']}={each['value']}" for each in component["properties"]),
    }
    if version := component.get("version"):
        found["versionInfo"] = version
    if summary := component.get("description"):
        found["summary"] = summary
    if digests := component.get("hashes"):
        found["checksums"] = [{"algorithm": "SHA256", "checksumValue": each["content"]} for each in digests]
    if purl := component.get("purl"):
        locator = {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}
        found["externalRefs"] = [locator]
    return found


def _related(name: str, component: _Json) -> _Json:
    _, kind, forwards = _ROLES[_role(component)]
    return _relationship(_WHEEL, kind, name) if forwards else _relationship(name, kind, _WHEEL)


def _relationship(one: str, kind: str, other: str) -> _Json:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def _role(component: _Json) -> str:
    return {str(each["name"]): str(each["value"]) for each in component["properties"]}[ROLE]


def _licence(component: _Json) -> str:
    """The expression that is declared; what is only in words, or names a licence of its own, SPDX has no place for."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    for each in component.get("licenses", ()):
        try:
            expression = canonicalize_license_expression(each["expression"])
        except (KeyError, InvalidLicenseExpression):
            continue
        return _NONE if "LicenseRef-" in expression else expression
    return _NONE


def _time(text: str) -> str:
    """As SPDX wants it (6.9): UTC, with a Z, to the second."""
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
