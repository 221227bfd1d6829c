"""pybuild.toml."""

from __future__ import annotations

import re
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
keep = 5
notify = ["https://hooks.example.org/x", "amqps://broker.example.org/%2Fpubsub"]
[screen]
compiled = "refuse"
archive = "review"
advisory = "refuse"
advisories = "/srv/osv/pypi.zip"
[[screen.exceptions]]
package = "packaging"
sha256 = ["ababababababababababababababababababababababababababababababab00"]
reason = "headers of ELF files, which its tests read"
""",
        "pybuild.toml",
    )
    assert settings.cooldown == timedelta(days=3)
    assert (settings.label, settings.jobs, settings.accept_new, settings.keep) == ("fc45", 4, True, 5)
    assert settings.notify == ("https://hooks.example.org/x", "amqps://broker.example.org/%2Fpubsub")
    screen = settings.screen
    assert (screen.compiled, screen.archive, screen.advisory) == ("refuse", "review", "refuse")
    assert [(each.package, each.reason[:7]) for each in screen.exceptions] == [("packaging", "headers")]


def test_an_address_that_is_refused_may_have_a_secret_in_it() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_settings("notify = ['ftp://user:hunter2@example.org/s3cret']", "pybuild.toml")
    assert "hunter2" not in str(caught.value) and "s3cret" not in str(caught.value)


def test_nothing_is_refused_that_nobody_asked_to_refuse() -> None:
    screen = parse_settings("", "pybuild.toml").screen
    assert (screen.compiled, screen.archive, screen.advisory, screen.advisories) == ("allow", "allow", "allow", "")
    assert screen == parse_settings("[screen]", "pybuild.toml").screen


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lable = 'pb'", "1:1 lable§did you mean 'label'?"),
        ("label = 'pb.1'", "1:1 label§is no label"),
        ("label = 'PB'", "1:1 label§is no label"),
        ("jobs = 0", "1:1 jobs§greater than or equal to 1"),
        ("jobs = '4'", "1:1 jobs§expected an integer, found the string '4'"),
        ("index = 'example.org/simple'", "1:1 index§is no URL"),
        ("notify = ['file:///x']", "1:11 notify[0]§messages can't be sent there"),
        ("notify = ['https:///x']", "1:11 notify[0]§names a host"),
        ("index = 'https:///simple'", "1:1 index§names no host"),
        ("\nrebuild = 'always'", "2:1 rebuild§expected 'never', 'security' or 'monthly'"),
        ("cooldown = 3", "1:1 cooldown§expected a duration"),
        ("screen = 'review'", "1:1 screen§expected a table, found the string 'review'"),
        ("[screen]\ncompild = 'allow'", "2:1 [screen].compild§did you mean 'compiled'?"),
        ("[screen]\narchive = 'deny'", "2:1 [screen].archive§expected 'allow', 'review' or 'refuse'"),
        ("[screen]\nadvisory = 'refuse'", "1:1 [screen]§name a dump of OSV records"),
        (
            "[[screen.exceptions]]\npackage = 'x'\nreason = 'y'",
            "1:1 [screen].exceptions[0]§names nothing that is found",
        ),
        ("[[screen.exceptions]]\npackage = 'x'\nadvisories = ['y']", "[screen].exceptions[0].reason§is missing"),
        ("[[screen.exceptions]]\npackage = 'x'\nsha256 = ['y']\nreason = 'z'", "sha256[0]§'y' is no sha256"),
        ("[[screen.exceptions]]\npackage = 'x'\nadvisories = ['y']\nreason = ' '", "reason§a reason is needed"),
        ("[[screen.exceptions]]\npackage = 'X'\nadvisories = ['y']\nreason = 'z'", "package§must be written as 'x'"),
        ("[[screen.exceptions]]\npakage = 'x'", "[screen].exceptions[0].pakage§did you mean 'package'?"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_settings(text, "pybuild.toml")
    place, what = words.split("§")
    assert re.search(rf"pybuild\.toml:[^\n]*{re.escape(place)}", str(caught.value))
    assert what in str(caught.value)
