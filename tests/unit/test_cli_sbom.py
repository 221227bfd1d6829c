from __future__ import annotations

from dataclasses import replace

import pytest

from pybuilder.cli.sbom import _one
from pybuilder.errors import UsageError
from pybuilder.state import PublishedWheel

WHEEL = PublishedWheel(
    label="pb",
    name="six",
    version="1.17.0",
    number=1,
    target="cp311-linux_x86_64",
    channel="host",
    wheel="six-1.17.0+pb.1-cp311-cp311-linux_x86_64.whl",
    wheel_sha256="a" * 64,
    payload="b" * 64,
    key="k",
    recipe="r",
    attempt="t",
    published="2026-01-02T03:04:05Z",
)


def test_a_build_of_several_wheels_has_no_single_bill() -> None:
    """One document is printed, so that programs can read it; which one is the person's to say."""
    other = replace(WHEEL, target="cp314-linux_x86_64", wheel="six-1.17.0+pb.1-cp314-cp314-linux_x86_64.whl")
    assert _one([WHEEL], "six") is WHEEL
    with pytest.raises(UsageError, match="six has 2 wheels") as caught:
        _one([other, WHEEL], "six")
    assert caught.value.cure == f"name one of: {WHEEL.wheel}, {other.wheel}"
