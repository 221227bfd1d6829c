from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pybuilder.needed_by import needed_by
from tests.support.channels import BEGAN, Channel, channel


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Channel]:
    with channel(tmp_path) as opened:
        yield opened


def count(here: Channel) -> dict[str, int]:
    return dict(needed_by(here.state, here.layout, "host"))


def test_build_and_install_requirements_count_alike_and_to_the_end(here: Channel) -> None:
    here.build("setuptools")
    here.build("six", environment=["setuptools==1.0"])
    here.build("dateutil", installs=["six>=1"])
    here.build("pandas", installs=["dateutil", "numpy; sys_platform == 'win32'"])
    assert count(here) == {"setuptools": 3, "six": 2, "dateutil": 1}
    assert needed_by(here.state, here.layout, "host")["pandas"] == 0
    assert needed_by(here.state, here.layout, "elsewhere") == {}


def test_a_package_counts_once_and_never_for_itself(here: Channel) -> None:
    here.build("a", installs=["b"])
    here.build("b", installs=["a"])
    here.build("c", installs=["a", "b"])
    assert count(here) == {"a": 2, "b": 2}


def test_only_the_newest_build_of_the_newest_version_counts(here: Channel) -> None:
    here.build("six")
    here.build("old", "9.0", installs=["six"])
    here.build("old", "10.0", installs=["six"])
    assert count(here) == {"six": 1}
    here.build("old", "10.0")
    here.build("old", "9.0", installs=["six"])
    assert count(here) == {}


def test_the_newest_number_counts_whatever_the_clock_said(here: Channel) -> None:
    here.build("six")
    here.build("app", began=BEGAN, installs=["six"])
    here.build("app", began=BEGAN - timedelta(days=1))
    assert count(here) == {}


def test_what_an_earlier_pybuild_remembered_otherwise_is_read_again(here: Channel) -> None:
    here.build("six")
    wheel = here.build("app", installs=["six"])
    here.state.add_fact("made-from", wheel.attempt, {"version": 0})
    assert count(here) == {"six": 1}


def test_what_an_extra_needs_is_needed_by_who_asks_for_it(here: Channel) -> None:
    here.build("web", installs=["tls; extra == 'Secure_Mode'", "base", "more[all]; extra == 'big'"])
    here.build("more", installs=["even; extra == 'all'"])
    here.build("plain", installs=["web"])
    here.build("client", installs=["web[secure-mode]"])
    here.build("large", installs=["web[big]"])
    # web alone needs neither tls nor more.
    assert count(here) == {"base": 4, "web": 3, "tls": 1, "more": 1, "even": 1}


def test_what_was_read_once_needs_no_record_any_more(here: Channel) -> None:
    here.build("six")
    wheel = here.build("dateutil", installs=["six"])
    assert count(here) == {"six": 1}
    (here.layout.record(wheel.key, wheel.attempt) / "plan.json").unlink()
    assert count(here) == {"six": 1}


def test_a_record_is_read_where_it_lies_and_counts_for_nothing_where_it_is_damaged(here: Channel) -> None:
    here.build("six")
    wheel = here.build("dateutil", installs=["six"])
    stored = here.layout.record(wheel.key, wheel.attempt)
    published = here.layout.index("host") / "records" / wheel.payload / wheel.attempt
    published.parent.mkdir(parents=True)
    stored.rename(published)
    plan = (published / "plan.json").read_bytes()
    (published / "plan.json").write_text("{")
    assert count(here) == {}
    (published / "plan.json").write_bytes(plan)
    assert count(here) == {"six": 1}


def test_what_could_not_be_read_whole_is_read_again(here: Channel) -> None:
    here.build("six")
    wheel = here.build("dateutil", installs=["six"], environment=["six==1.0"])
    here.state.add_fact("metadata", wheel.payload, None)
    assert count(here) == {"six": 1}
    here.state.add_fact("metadata", wheel.payload, {"requires_dist": ["numpy"]})
    assert count(here) == {"six": 1, "numpy": 1}
