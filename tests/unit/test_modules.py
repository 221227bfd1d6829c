from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES

import pytest

from pybuilder.wheel.modules import top_level_modules

EXTENSION = EXTENSION_SUFFIXES[0]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], []),
        (["six.py"], ["six"]),
        (["idna/__init__.py", "idna/core.py"], ["idna"]),
        ([f"_cffi_backend{EXTENSION}", "cffi/__init__.py"], ["_cffi_backend", "cffi"]),
        (["fast.abi3.so"], ["fast"]),
        (["google/cloud/storage/__init__.py", "google/cloud/storage/blob.py"], ["google.cloud.storage"]),
        (["zope/interface/__init__.py", "zope/event.py"], ["zope.event", "zope.interface"]),
        (["pkg/__init__.pyc"], []),
        ([f"pkg/__init__{EXTENSION}"], ["pkg"]),
        (["pkg/data/x.json", "pkg/__init__.py"], ["pkg"]),
        (["data/x.json"], []),
        (["my-data/module.py", "good.py"], ["good"]),
        (["not-a-name.py", "1st.py"], []),
        (["tests/__init__.py", "docs/conf.py", "six.py"], ["six"]),
        (["testing.py", "benchmarks/run.py", "testlib.py"], ["testlib"]),
        (["__init__.py", "a.py"], ["a"]),
        (["a.pth", "LICENSE", "a.pyi"], []),
    ],
    ids=lambda value: ",".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_can_be_imported(files: list[str], expected: list[str]) -> None:
    assert list(top_level_modules(files)) == expected
