import dataclasses
import json
import os
import subprocess
import sys
import time

import pytest

from pybuilder.names import package_url
from pybuilder.plan import Ingredient, Root, Target
from pybuilder.sbom import Contents, Origin, PatchNote, build_sbom, wheel_sbom
from pybuilder.sbom.cargo import Crate, locked_crates
from pybuilder.sbom.spdx import spdx
from pybuilder.wheel.bundled import Bundled, BundledFile, Vendored
from tests.support.plans import plan_with

METADATA = b"Metadata-Version: 2.4\nName: Demo.Pkg\nVersion: 1.0\nSummary: a demo\nLicense-Expression: MIT OR 0BSD\n\n"
NOTHING = Bundled(packages=(), libraries=(), bills=(), rust=False)
CONTENTS = Contents(
    metadata=METADATA,
    version="1.0+pb.2",
    payload_sha256="a" * 64,
    origin=Origin(filename="demo-1.0.tar.gz", sha256="b" * 64, url="https://files.example/demo-1.0.tar.gz"),
    patches=[PatchNote(filename=f"patches/demo-pkg/{n}.patch", sha256=str(n) * 64) for n in (1, 2)],
    bundled=NOTHING,
    crates=(),
    epoch=1_600_000_000,
)
CRATES = (
    Crate(name="libc", version="0.2.1", source="registry+https://r.example", sha256="c" * 64, locked_in="Cargo.lock"),
    Crate(name="own", version="1.0", source="git+https://g.example/o?tag=v1#abc", sha256="", locked_in="Cargo.lock"),
)
BUNDLED = Bundled(
    packages=(
        Vendored(
            name="idna",
            version="3.10",
            metadata=b"Name: idna\nVersion: 3.10\nLicense: BSD\n\n",
            found_in=("demo/_vendor/idna-3.10.dist-info/METADATA", "demo/_vendor/vendor.txt"),
        ),
        Vendored(name="six", version="1!1.17", metadata=b"", found_in=("demo/_vendor/vendor.txt",)),
    ),
    libraries=(BundledFile(name="libz.so.1", path="demo.libs/libz-01234567.so.1", sha256="d" * 64),),
    bills=(BundledFile(name="auditwheel.cdx.json", path="sboms/auditwheel.cdx.json", sha256="e" * 64),),
    rust=True,
)
FULL = dataclasses.replace(CONTENTS, bundled=BUNDLED, crates=CRATES)
RPMS = [
    {
        "name": name,
        "evra": evra,
        "sha256": digit * 64,
        "repository": "fedora",
        "source": f"{name.removesuffix('-static')}-1-1.src.rpm",
        "key": "0123456789abcdef",
    }
    for name, evra, digit in (("bash", "0:5.2-1.fc45.x86_64", "1"), ("zlib-ng-static", "1:2.2-1~rc^1.fc45.x86_64", "2"))
]
PLAN = plan_with(
    recipe={"name": "demo-pkg", "source": "b" * 64},
    root=Root(
        kind="rpm",
        digest="9" * 64,
        contents={"distribution": "fedora", "release": "45", "base": ["bash"], "rpms": RPMS},
    ),
    target=Target(name="cp314-linux_x86_64", python="3.14", full_version="3.14.1", tags=(), markers={}),
    requires=("setuptools",),
    environment=(Ingredient(name="setuptools", version="80.1", payload="8" * 64),),
)
ACCOUNT = {"started": "2026-01-02T03:04:05Z", "tools": {"pybuild": "0.1.0", "podman": "5.8"}, "prebuilt": None}


def document(contents=CONTENTS, **changes):
    return json.loads(wheel_sbom(dataclasses.replace(contents, **changes)))


def whole(contents=FULL, account=ACCOUNT, plan=PLAN):
    return build_sbom(contents, sha256="f" * 64, account=account, plan=plan)


def properties(component):
    return {each["name"]: each["value"] for each in component["properties"]}


def of_role(bom, role):
    return [each for each in bom["components"] if properties(each)["pybuild:role"] == role]


def problems(data):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode())


class TestInTheWheel:
    def test_what_it_says(self):
        bom = document()
        assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
        assert bom["metadata"]["timestamp"] == "2020-09-13T12:26:40+00:00"
        wheel = bom["metadata"]["component"]
        purl = "pkg:pypi/demo-pkg@1.0%2Bpb.2"
        assert (wheel["name"], wheel["version"], wheel["purl"]) == ("demo-pkg", "1.0+pb.2", purl)
        assert wheel["licenses"] == [{"expression": "MIT OR 0BSD"}]
        assert properties(wheel)["pybuild:payload:sha256"] == "a" * 64
        assert [ancestor["purl"] for ancestor in wheel["pedigree"]["ancestors"]] == ["pkg:pypi/demo-pkg@1.0"]
        assert [patch["diff"]["url"] for patch in wheel["pedigree"]["patches"]] == [
            "patches/demo-pkg/1.patch",
            "patches/demo-pkg/2.patch",
        ]
        assert "2" * 64 in wheel["pedigree"]["notes"]
        (source,) = bom["components"]
        assert source["purl"] == "pkg:pypi/demo-pkg@1.0"
        assert source["hashes"] == [{"alg": "SHA-256", "content": "b" * 64}]
        assert properties(source) == {"pybuild:role": "source", "pybuild:file": "demo-1.0.tar.gz"}

    def test_where_the_source_was_fetched_from_is_no_part_of_it(self):
        """A mirror's address would make another wheel of the same payload, source and patches."""
        other = dataclasses.replace(CONTENTS.origin, url="https://mirror.example/demo-1.0.tar.gz")
        assert wheel_sbom(dataclasses.replace(CONTENTS, origin=other)) == wheel_sbom(CONTENTS)

    def test_what_the_wheel_bundles(self):
        bom = document(FULL)
        idna, six = of_role(bom, "vendored")
        assert (idna["purl"], idna["licenses"]) == ("pkg:pypi/idna@3.10", [{"license": {"name": "BSD"}}])
        assert [each["location"] for each in idna["evidence"]["occurrences"]] == list(BUNDLED.packages[0].found_in)
        assert six["purl"] == "pkg:pypi/six@1%211.17"
        (library,) = of_role(bom, "library")
        assert (library["name"], library["hashes"][0]["content"]) == ("libz.so.1", "d" * 64)
        libc, own = of_role(bom, "crate")
        assert (libc["purl"], libc["hashes"][0]["content"]) == ("pkg:cargo/libc@0.2.1", "c" * 64)
        assert own["purl"] == "pkg:cargo/own@1.0?vcs_url=git%2Bhttps:%2F%2Fg.example%2Fo%40abc"
        assert properties(libc)["pybuild:locked-in"] == "Cargo.lock"
        (bill,) = bom["metadata"]["component"]["externalReferences"]
        assert (bill["type"], bill["url"], bill["hashes"][0]["content"]) == (
            "bom",
            "sboms/auditwheel.cdx.json",
            "e" * 64,
        )
        depends = {each["ref"]: each.get("dependsOn", []) for each in bom["dependencies"]}
        assert sorted(depends["wheel"]) == sorted(each["bom-ref"] for each in bom["components"])
        assert "compositions" not in bom

    def test_code_from_rust_without_a_lock_makes_it_incomplete_and_it_says_so(self):
        unlocked = dataclasses.replace(FULL, crates=None)
        for bom in (document(unlocked), json.loads(whole(unlocked))):
            (composition,) = bom["compositions"]
            assert composition == {"aggregate": "incomplete_third_party_only", "assemblies": ["wheel"]}

    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            ("License: BSD, see LICENSE", [{"license": {"name": "BSD, see LICENSE"}}]),
            ("License: MIT License\n        \n        Copyright", [{"license": {"name": "MIT License"}}]),
            ("License: ", None),
            ("Summary: nothing about it", None),
        ],
    )
    def test_older_metadata_states_its_licence_in_words(self, header, expected):
        bom = document(metadata=f"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n{header}\n\n".encode())
        assert bom["metadata"]["component"].get("licenses") == expected

    def test_without_patches_it_names_none(self):
        assert "patches" not in document(patches=())["metadata"]["component"]["pedigree"]

    def test_upstreams_wheel_is_no_source(self):
        name = "demo-1.0-py3-none-any.whl"
        (origin,) = document(origin=Origin(filename=name, sha256="b" * 64, url=""))["components"]
        assert properties(origin) == {"pybuild:role": "prebuilt", "pybuild:file": name}

    def test_the_same_wheel_has_the_same_bytes_and_another_has_another_number(self):
        """Also in another process: neither hash seeds nor clocks nor random references leave a trace."""
        code = "from tests.unit.test_sbom import *; sys.stdout.buffer.write(wheel_sbom(FULL) + whole())"
        for seed in ("1", "2"):
            environ = {**os.environ, "PYTHONHASHSEED": seed, "TZ": "Asia/Kathmandu"}
            run = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, check=True)
            assert run.stdout == wheel_sbom(FULL) + whole()
        changes = [{"version": "1.0+pb.3"}, {"payload_sha256": "c" * 64}, {"patches": ()}, {"epoch": 1}]
        assert len({document(**change)["serialNumber"] for change in [{}, *changes]}) == 5


class TestOfTheWholeBuild:
    def test_it_names_all_that_was_there(self):
        bom = json.loads(whole())
        assert bom["metadata"]["timestamp"] == "2026-01-02T03:04:05+00:00"
        assert bom["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": "f" * 64}]
        tools = {each["name"]: each["version"] for each in bom["metadata"]["tools"]["components"]}
        assert tools == {"pybuild": "0.1.0", "podman": "5.8"}
        (source,) = of_role(bom, "source")
        (reference,) = source["externalReferences"]
        assert (reference["type"], reference["url"]) == ("source-distribution", CONTENTS.origin.url)
        assert [each["hashes"][0]["content"] for each in of_role(bom, "patch")] == ["1" * 64, "2" * 64]
        (wheel,) = of_role(bom, "environment")
        assert (wheel["purl"], wheel["hashes"][0]["content"]) == ("pkg:pypi/setuptools@80.1", "8" * 64)
        assert [(each["purl"], each["hashes"][0]["content"]) for each in of_role(bom, "rpm")] == [
            ("pkg:rpm/fedora/bash@5.2-1.fc45?arch=x86_64&distro=fedora-45&upstream=bash-1-1.src.rpm", "1" * 64),
            (
                "pkg:rpm/fedora/zlib-ng-static@2.2-1~rc%5E1.fc45"
                "?arch=x86_64&distro=fedora-45&epoch=1&upstream=zlib-ng-1-1.src.rpm",
                "2" * 64,
            ),
        ]
        assert ["pybuild:rpm:static" in properties(each) for each in of_role(bom, "rpm")] == [False, True]
        (root,) = of_role(bom, "root")
        assert (root["name"], root["version"]) == ("fedora", "45")
        assert properties(root)["pybuild:root:digest"] == "9" * 64
        # What the wheel carries is in it as well.
        assert {each["bom-ref"] for each in document(FULL)["components"]} < {
            each["bom-ref"] for each in bom["components"]
        }

    def test_what_was_only_there_is_not_taken_for_a_part_of_the_wheel(self):
        bom = json.loads(whole())
        excluded = {properties(each)["pybuild:role"] for each in bom["components"] if each.get("scope") == "excluded"}
        assert excluded == {"environment", "root", "rpm"}
        depends = {each["ref"]: each.get("dependsOn", []) for each in bom["dependencies"]}
        assert depends["source"] == ["patch:patches/demo-pkg/1.patch", "patch:patches/demo-pkg/2.patch"]
        assert depends["root"] == ["rpm:" + "1" * 64, "rpm:" + "2" * 64]
        assert not [each for each in depends["wheel"] if each.startswith(("rpm:", "environment:", "root"))]

    def test_of_a_machine_only_digests_are_known(self):
        digests = {"os_release": "1" * 64, "packages": "2" * 64, "interpreter": "3" * 64}
        plan = dataclasses.replace(PLAN, root=Root(kind="host", digest="4" * 64, contents=digests))
        data = whole(plan=plan)
        (root,) = of_role(json.loads(data), "root")
        assert root["name"] == "host" and properties(root)["pybuild:root:packages"] == "2" * 64
        assert problems(data) is None

    def test_nothing_was_there_when_upstreams_wheel_was_taken(self):
        origin = Origin(filename="demo-1.0-py3-none-any.whl", sha256="b" * 64, url="https://files.example/demo.whl")
        data = whole(dataclasses.replace(CONTENTS, origin=origin, patches=()), account=ACCOUNT | {"prebuilt": "why"})
        (component,) = json.loads(data)["components"]
        assert component["externalReferences"][0]["type"] == "distribution"
        assert problems(data) is None

    def test_a_source_without_an_address_has_no_reference(self):
        origin = Origin(filename="demo.tar", sha256="b" * 64, url="")
        (source,) = of_role(json.loads(whole(dataclasses.replace(CONTENTS, origin=origin))), "source")
        assert "externalReferences" not in source


def test_a_large_root_takes_little_time():
    """Provenance and bill may take a tenth of a second together; CPU time, since other tests run beside this one."""
    contents = PLAN.root.contents | {"rpms": [RPMS[1] | {"sha256": f"{number:064x}"} for number in range(500)]}
    plan = dataclasses.replace(PLAN, root=dataclasses.replace(PLAN.root, contents=contents))
    began = time.process_time()
    bom = json.loads(whole(plan=plan))
    assert time.process_time() - began < 0.1
    assert len(of_role(bom, "rpm")) == 500


ODD = dataclasses.replace(
    FULL,
    origin=Origin(filename="a b.tar", sha256="b" * 64, url="file:///a b/<ü>.tar"),
    patches=[PatchNote(filename="patches/demo/0001 a <b>.patch", sha256="1" * 64)],
    bundled=dataclasses.replace(BUNDLED, bills=(BundledFile(name="ü b", path="sboms/ü b.json", sha256="e" * 64),)),
    crates=None,
)


@pytest.mark.parametrize("contents", [CONTENTS, FULL, ODD], ids=["plain", "full", "odd"])
def test_they_validate(contents):
    for data in (wheel_sbom(contents), whole(contents)):
        assert problems(data) is None


def test_the_validator_would_find_a_fault():
    assert problems(wheel_sbom(CONTENTS).replace(b'"type": "library"', b'"type": "wheel"')) is not None


@pytest.mark.parametrize("data", [wheel_sbom(FULL), whole()], ids=["wheel", "build"])
def test_no_reference_stands_twice(data):
    def references(value):
        if isinstance(value, dict):
            yield from [value["bom-ref"]] if "bom-ref" in value else []
            yield from (ref for item in value.values() for ref in references(item))
        elif isinstance(value, list):
            yield from (ref for item in value for ref in references(item))

    found = list(references(json.loads(data)))
    assert len(found) == len(set(found)) > 8


@pytest.mark.parametrize("data", [wheel_sbom(FULL), whole()], ids=["wheel", "build"])
def test_another_library_reads_the_package_urls_alike(data):
    from packageurl import PackageURL

    bom = json.loads(data)
    purls = [each["purl"] for each in (bom["metadata"]["component"], *bom["components"]) if "purl" in each]
    for purl in purls:
        read = PackageURL.from_string(purl)
        plain = {key: value for key, value in (read.qualifiers or {}).items() if value}
        assert package_url(read.type, read.name, read.version, namespace=read.namespace or "", **plain) == purl
    assert len(purls) > 5


class TestSpdx:
    def test_what_it_says(self):
        found = json.loads(spdx(json.loads(whole())))
        assert (found["spdxVersion"], found["dataLicense"]) == ("SPDX-2.3", "CC0-1.0")
        assert found["documentNamespace"] == json.loads(whole())["serialNumber"]
        packages = {each["name"]: each for each in found["packages"]}
        wheel = next(each for each in found["packages"] if each["SPDXID"] == "SPDXRef-wheel")
        assert wheel["checksums"] == [{"algorithm": "SHA256", "checksumValue": "f" * 64}]
        assert wheel["licenseDeclared"] == "MIT OR 0BSD"
        assert packages["bash"]["externalRefs"][0]["referenceLocator"].startswith("pkg:rpm/fedora/bash@")
        ids = {each["SPDXID"]: each["name"] for each in found["packages"]}
        related = {
            (ids.get(each["spdxElementId"], ""), each["relationshipType"], ids[each["relatedSpdxElement"]])
            for each in found["relationships"]
        }
        assert related >= {
            ("", "DESCRIBES", "demo-pkg"),
            ("demo-pkg", "GENERATED_FROM", "demo-pkg"),
            ("demo-pkg", "CONTAINS", "libc"),
            ("demo-pkg", "CONTAINS", "libz.so.1"),
            ("patches/demo-pkg/1.patch", "PATCH_FOR", "demo-pkg"),
            ("setuptools", "BUILD_DEPENDENCY_OF", "demo-pkg"),
            ("bash", "BUILD_DEPENDENCY_OF", "demo-pkg"),
            ("podman", "BUILD_TOOL_OF", "demo-pkg"),
        }
        assert len(related) == len(found["relationships"])

    @pytest.mark.parametrize("contents", [CONTENTS, FULL, ODD], ids=["plain", "full", "odd"])
    def test_it_validates(self, contents):
        assert spdx_problems(spdx(json.loads(whole(contents)))) == []

    def test_the_validator_would_find_a_fault(self):
        assert spdx_problems(spdx(json.loads(whole())).replace(b'"SPDXRef-wheel"', b'"SPDXRef-wh/eel"')) != []

    @pytest.mark.parametrize("licence", ["LicenseRef-mine", "no (expression", "GPL"])
    def test_a_licence_that_spdx_does_not_know_is_none(self, licence):
        metadata = METADATA.replace(b"MIT OR 0BSD", licence.encode())
        data = spdx(json.loads(whole(dataclasses.replace(CONTENTS, metadata=metadata))))
        assert spdx_problems(data) == []
        assert {each["licenseDeclared"] for each in json.loads(data)["packages"]} == {"NOASSERTION"}


def spdx_problems(data):
    from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    return validate_full_spdx_document(JsonLikeDictParser().parse(json.loads(data)), "SPDX-2.3")


class TestLock:
    def test_its_crates_but_not_the_sources_own(self):
        lock = b"""\
version = 4
[[package]]
name = "demo"
version = "1.0"
dependencies = ["libc"]
[[package]]
name = "own"
version = "1.0"
source = "git+https://g.example/o?tag=v1#abc"
[[package]]
name = "libc"
version = "0.2.1"
source = "registry+https://r.example"
checksum = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
"""
        assert locked_crates(lock, "Cargo.lock") == CRATES

    def test_in_its_oldest_form_checksums_stand_apart(self):
        lock = f"""\
[[package]]
name = "libc"
version = "0.2.1"
source = "registry+https://r.example"
[metadata]
"checksum libc 0.2.1 (registry+https://r.example)" = "{"c" * 64}"
"checksum own 1.0 (git+https://g.example)" = "<none>"
"""
        assert locked_crates(lock.encode(), "Cargo.lock") == CRATES[:1]

    @pytest.mark.parametrize(
        "data",
        [b"\xff", b"[[package", b"package = 1", b'[[package]]\nsource = "x"', b'package = ["x"]', b"metadata = 1"],
    )
    def test_what_is_no_lock(self, data):
        assert not locked_crates(data, "Cargo.lock")
