"""What a new version requires otherwise."""

from __future__ import annotations

from packaging.requirements import Requirement

from pybuilder.requirement_changes import changes, python_change


def wanted(*texts: str) -> list[Requirement]:
    return [Requirement(text) for text in texts]


def test_what_is_new_gone_or_other_is_told_by_name_and_order_means_nothing() -> None:
    before = wanted("Idna>=2", "chardet", "six", "tomli; python_version < '3.11'", "x==1; extra == 'a'", "x==1")
    after = wanted("six", "idna <4, >=3", "tomli; python_version < '3.12'", "new_one[x]", "x==1", "x==2; extra == 'a'")
    found = changes("install", before, after)
    assert [each.line for each in found] == [
        "install: gone: chardet",
        "install: Idna>=2 -> idna<4,>=3",
        "install: new: new_one[x]",
        'install: tomli; python_version < "3.11" -> tomli; python_version < "3.12"',
        'install: x==1; extra == "a" -> x==2; extra == "a"',
    ]
    assert found[0].as_json == {"kind": "install", "name": "chardet", "before": ["chardet"], "after": []}


def test_requires_python() -> None:
    assert python_change(">=3.8, <4", "<4,>=3.8") == () == python_change("", "")
    assert [each.line for each in python_change(">=3.8", "")] == ["Python: >=3.8 -> any"]
