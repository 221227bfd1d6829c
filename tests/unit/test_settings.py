"""pybuild.toml."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pybuilder.errors import ConfigError
from pybuilder.settings import parse_settings


def test_everything_is_optional() -> None:
    settings = parse_settings("", "pybuild.toml")
    assert (settings.label, settings.accept_new, settings.rebuild) == ("pb", False, "never")
    assert settings.cooldown == timedelta(0)
    assert settings.index is None and settings.jobs is None


def test_every_key_of_the_contract_is_read() -> None:
    settings = parse_settings(
        """
buildroot = "host"
label = "fc45"
state = "/var/lib/pybuild"
index = "https://index.example.org/simple/"
jobs = 4
cooldown = "3d"
accept-new = true
rebuild = "security"
screen = "review"
keep = 5
notify = ["https://hooks.example.org/x"]
""",
        "pybuild.toml",
    )
    assert settings.cooldown == timedelta(days=3)
    assert (settings.label, settings.jobs, settings.accept_new, settings.keep) == ("fc45", 4, True, 5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lable = 'pb'", "1:1 lable§did you mean 'label'?"),
        ("label = 'pb.1'", "1:1 label§is no label"),
        ("label = 'PB'", "1:1 label§is no label"),
        ("jobs = 0", "1:1 jobs§greater than or equal to 1"),
        ("jobs = '4'", "1:1 jobs§expected an integer, found the string '4'"),
        ("index = 'example.org/simple'", "1:1 index§is no URL"),
        ("index = 'https:///simple'", "1:1 index§names no host"),
        ("\nrebuild = 'always'", "2:1 rebuild§expected 'never', 'security' or 'monthly'"),
        ("cooldown = 3", "1:1 cooldown§expected a duration"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_settings(text, "pybuild.toml")
    place, what = words.split("§")
    assert f"pybuild.toml:{place}" in str(caught.value)
    assert what in str(caught.value)
