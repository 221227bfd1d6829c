"""What was asked for and has no effect."""

from __future__ import annotations

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from pybuilder.cli.notes import notes
from pybuilder.errors import BuildError
from pybuilder.request import Planned, Request
from pybuilder.tree import Need, Package, Tree

ALPHA: Package = (canonicalize_name("alpha"), Version("1.0"))
STATED = ['one; extra == "first"', 'two; sys_platform == "win32" and "Sec_ond" == extra', "three"]


def told(*tops: str, stated: list[str] | None = STATED, broken: bool = False) -> list[str]:
    markers = {"sys_platform": "linux", "python_version": "3.14"}
    requirements = [Requirement(top) for top in tops]
    needs = tuple(Need(requirement=str(r), package=ALPHA) for r in requirements if r.name == "alpha")
    tree = Tree(target="cp314-linux_x86_64", python="3.14.0", tops=needs, nodes={})
    planned = Planned(tree=tree, broken={ALPHA: BuildError("no")} if broken else {}, unmet={})
    said = None if stated is None else [Requirement(text) for text in stated]
    return list(notes(Request(tops=tuple(requirements)), planned, markers=markers, requirements=lambda _: said))


def test_a_false_marker() -> None:
    assert told("alpha", 'beta; sys_platform == "win32"', 'gamma; python_version < "3"') == [
        'left out by marker on cp314-linux_x86_64: beta; sys_platform == "win32", gamma; python_version < "3"'
    ]
    assert told('alpha; sys_platform == "linux"') == []


def test_an_extra_for_which_nothing_is_required() -> None:
    assert told("alpha[first,Sec.ond]") == []
    assert told("alpha[First,third]", "alpha") == [
        "the extra 'third' of alpha 1.0 adds nothing: no requirement of it is for that"
    ]


def test_nothing_is_said_of_what_nobody_knows() -> None:
    assert told("alpha[third]", stated=None) == []
    assert told("alpha[third]", stated=[], broken=True) == []
