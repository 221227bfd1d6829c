"""What a Python is as a target."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest
from packaging.requirements import Requirement

from pybuilder.resolution import applies
from pybuilder.sandbox.host_root import this_target
from pybuilder.sandbox.target import target_of


def test_this_python() -> None:
    target = this_target()
    major, minor, micro = sys.version_info[:3]
    assert (target.python, target.full_version) == (f"{major}.{minor}", f"{major}.{minor}.{micro}")
    assert target.name.startswith(f"cp{major}{minor}-linux_")
    assert target.tags[-1] == "py30-none-any"
    assert target.markers["python_version"] == target.python


@pytest.mark.parametrize("marker", ["platform_version != ''", "platform_release != ''"])
def test_the_kernel_decides_nothing(marker: str) -> None:
    kernel = {"platform_release": "6.1", "platform_version": "#1 SMP"}
    told = target_of((3, 11, 7), "linux-x86_64", tags=["py3-none-any"], markers=kernel)
    for target in (told, this_target()):
        assert not applies(Requirement(f"leaf; {marker}"), target.markers, frozenset())


@pytest.mark.parametrize("version", [(3, 11), (3, 11, 7, 0)])
def test_a_version_of_other_than_three_numbers(version: Sequence[int]) -> None:
    with pytest.raises(ValueError, match="unpack"):
        target_of(version, "linux-x86_64", tags=[], markers={})
