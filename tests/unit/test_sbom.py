import json
import os
import subprocess
import sys

import pytest

from pybuilder.sbom import Origin, PatchNote, wheel_sbom

METADATA = b"Metadata-Version: 2.4\nName: Demo.Pkg\nVersion: 1.0\nSummary: a demo\nLicense-Expression: MIT OR 0BSD\n\n"
ARGUMENTS = {
    "metadata": METADATA,
    "version": "1.0+pb.2",
    "payload_sha256": "a" * 64,
    "origin": Origin(filename="demo-1.0.tar.gz", sha256="b" * 64, url="https://files.example/demo-1.0.tar.gz"),
    "patches": [PatchNote(filename=f"patches/demo-pkg/{n}.patch", sha256=str(n) * 64) for n in (1, 2)],
    "epoch": 1_600_000_000,
}


def document(**changes):
    return json.loads(wheel_sbom(**{**ARGUMENTS, **changes}))


def test_what_it_says():
    bom = document()
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    assert bom["metadata"]["timestamp"] == "2020-09-13T12:26:40+00:00"
    wheel = bom["metadata"]["component"]
    assert (wheel["name"], wheel["version"], wheel["purl"]) == ("demo-pkg", "1.0+pb.2", "pkg:pypi/demo-pkg@1.0%2Bpb.2")
    assert wheel["licenses"] == [{"expression": "MIT OR 0BSD"}]
    assert {"name": "pybuild:payload:sha256", "value": "a" * 64} in wheel["properties"]
    assert [ancestor["purl"] for ancestor in wheel["pedigree"]["ancestors"]] == ["pkg:pypi/demo-pkg@1.0"]
    assert [patch["diff"]["url"] for patch in wheel["pedigree"]["patches"]] == [
        "patches/demo-pkg/1.patch",
        "patches/demo-pkg/2.patch",
    ]
    assert "2" * 64 in wheel["pedigree"]["notes"]
    (source,) = bom["components"]
    assert source["purl"] == "pkg:pypi/demo-pkg@1.0"
    assert source["hashes"] == [{"alg": "SHA-256", "content": "b" * 64}]
    assert source["externalReferences"][0]["url"] == "https://files.example/demo-1.0.tar.gz"
    assert source["properties"] == [{"name": "pybuild:source", "value": "demo-1.0.tar.gz"}]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("License: BSD, see LICENSE", [{"license": {"name": "BSD, see LICENSE"}}]),
        ("License: MIT License\n        \n        Copyright", [{"license": {"name": "MIT License"}}]),
        ("License: ", None),
        ("Summary: nothing about it", None),
    ],
)
def test_older_metadata_states_its_licence_in_words(header, expected):
    bom = document(metadata=f"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n{header}\n\n".encode())
    assert bom["metadata"]["component"].get("licenses") == expected


def test_a_source_without_an_address_has_no_reference():
    bom = document(origin=Origin(filename="demo.tar", sha256="b" * 64, url=""), patches=())
    assert "externalReferences" not in bom["components"][0]
    assert "patches" not in bom["metadata"]["component"]["pedigree"]


def test_upstreams_wheel_is_no_source():
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    name = "demo-1.0-py3-none-any.whl"
    bom = document(origin=Origin(filename=name, sha256="b" * 64, url=f"https://files.example/{name}"), patches=())
    (origin,) = bom["components"]
    assert origin["externalReferences"][0]["type"] == "distribution"
    assert origin["properties"] == [{"name": "pybuild:prebuilt", "value": name}]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bom)) is None


def test_no_reference_stands_twice():
    def references(value):
        if isinstance(value, dict):
            yield from [value["bom-ref"]] if "bom-ref" in value else []
            yield from (ref for item in value.values() for ref in references(item))
        elif isinstance(value, list):
            yield from (ref for item in value for ref in references(item))

    found = list(references(document()))
    assert len(found) == len(set(found)) == 4


def test_the_same_wheel_has_the_same_bytes_and_another_has_another_number():
    """Also in another process: neither hash seeds nor clocks nor random references leave a trace."""
    code = "from tests.unit.test_sbom import *; sys.stdout.buffer.write(wheel_sbom(**ARGUMENTS))"
    for seed in ("1", "2"):
        environ = {**os.environ, "PYTHONHASHSEED": seed, "TZ": "Asia/Kathmandu"}
        run = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, check=True)
        assert run.stdout == wheel_sbom(**ARGUMENTS)
    changes = [{"version": "1.0+pb.3"}, {"payload_sha256": "c" * 64}, {"patches": ()}, {"epoch": 1}]
    assert len({document(**change)["serialNumber"] for change in [{}, *changes]}) == 5


def test_it_validates():
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(wheel_sbom(**ARGUMENTS).decode()) is None
