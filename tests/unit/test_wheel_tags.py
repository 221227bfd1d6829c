import sysconfig

import pytest

from pybuilder.wheel.tags import accepted, expand_tag, supported_tags

PLATFORMS = ("manylinux_2_36_x86_64", "manylinux_2_17_x86_64", "linux_x86_64")


@pytest.mark.parametrize(
    ("tag", "python", "expected"),
    [
        ("py3-none-any", (3, 11), True),
        ("py2.py3-none-any", (3, 14), True),
        ("py2-none-any", (3, 11), False),
        ("cp311-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64", (3, 14), True),
        ("cp312-abi3-linux_x86_64", (3, 11), False),
        ("cp311-cp311-linux_x86_64", (3, 11), True),
        ("cp311-cp311-linux_x86_64", (3, 12), False),
        ("py3-none-linux_x86_64", (3, 12), True),
        ("py3-none-linux_aarch64", (3, 12), False),
        ("cp313-cp313t-linux_x86_64", (3, 13), False),
        ("py312-none-any", (3, 11), False),
        ("py310-none-any", (3, 11), True),
    ],
)
def test_which_python_takes_which_wheel(tag, python, expected):
    assert accepted(expand_tag(tag), supported_tags(python, PLATFORMS)) is expected


def test_the_interpreter_that_runs_has_no_say(monkeypatch):
    expected = supported_tags((3, 12), PLATFORMS)
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: True)  # a debug build without the lock
    assert supported_tags((3, 12), PLATFORMS) == expected


def test_the_most_specific_tag_comes_first():
    tags = supported_tags((3, 12), PLATFORMS)
    assert tags[0] == "cp312-cp312-manylinux_2_36_x86_64"
    assert tags.index("cp311-abi3-linux_x86_64") < tags.index("py3-none-any")
