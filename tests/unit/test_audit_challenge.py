"""Two indexes that have made something of the same keys."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pybuilder.audit import DirectoryReader, Shelf, Trust
from pybuilder.audit.challenge import Challenge, challenge
from pybuilder.errors import UsageError
from pybuilder.names import normalize
from pybuilder.signing import PrivateKey
from tests.support.presses import Fetching, Press, host_root

KEY = PrivateKey(seed=b"k" * 32)


@pytest.fixture
def ours(tmp_path: Path) -> Press:
    return Press(state=tmp_path / "ours", key=KEY)


@pytest.fixture
def theirs(tmp_path: Path) -> Press:
    return Press(state=tmp_path / "theirs")


def compare(ours: Press, theirs: Press, *only: str) -> Challenge:
    shelves = []
    for press in (ours, theirs):
        scratch = press.state / "scratch"
        scratch.mkdir(exist_ok=True)
        shelves.append(Shelf(reader=DirectoryReader(press.index.root), trust=Trust(keys={}), scratch=scratch))
    return challenge(shelves[0], shelves[1], only=[normalize(name) for name in only])


def test_the_same(ours: Press, theirs: Press) -> None:
    for press in (ours, theirs):
        press.publish("six")
    found = compare(ours, theirs)
    [each] = found.compared
    assert (each.difference, each.problem, each.ours[1]) == ("", "", each.theirs[1])
    assert (found.differ, found.broken, found.alone, found.unknown) == ((), (), (), ())


def test_the_same_key_and_another_payload(ours: Press, theirs: Press) -> None:
    """Whatever numbers they have: the first file that differs is told, not what numbering has changed."""
    mine = ours.publish("six", number_=4, module=b"VALUE = 1\n", files={"z.py": b"1"})
    other = theirs.publish("six", module=b"VALUE = 2\n", files={"z.py": b"2"})
    assert mine.plan.key() == other.plan.key()
    [each] = compare(ours, theirs).differ
    assert each.key == mine.plan.key() and each.ours[1] != each.theirs[1]
    assert each.difference.startswith("six.py, line 1, byte 8; ours: VALUE = 1; theirs: VALUE = 2")


def test_what_they_say_of_it_does_not_count(ours: Press, theirs: Press) -> None:
    """Their envelope names our payload, their wheel holds another."""
    mine = ours.publish("six")
    other = theirs.publish("six", module=b"VALUE = 2\n")
    shutil.copytree(mine.record, theirs.index.root / "records" / mine.ingredient.payload / mine.record.name)
    other.envelope.write_bytes(mine.envelope.read_bytes())
    [each] = compare(ours, theirs).differ
    assert each.difference


def test_another_key_is_not_compared(ours: Press, theirs: Press) -> None:
    mine = ours.publish("six")
    theirs.root = host_root()
    theirs.publish("six", module=b"VALUE = 2\n")
    found = compare(ours, theirs)
    assert found.compared == () and found.alone == (mine.wheel.name,)


def test_a_key_is_that_of_the_plan_not_the_one_that_is_stated(ours: Press, theirs: Press) -> None:
    mine = ours.publish("six")
    theirs.root = host_root()
    other = theirs.publish("six", module=b"VALUE = 2\n")
    other.edit("plan.json", lambda plan: plan.update(key=mine.plan.key()))
    assert compare(ours, theirs).compared == ()


def test_only_what_is_named(ours: Press, theirs: Press) -> None:
    for press in (ours, theirs):
        press.publish("six")
        press.publish("seven")
    assert [each.name for each in compare(ours, theirs, "seven").compared] == ["seven"]


def test_what_is_named_and_not_ours_is_told(ours: Press, theirs: Press) -> None:
    """Else a slip of the pen would pass for a challenge that was won."""
    for press in (ours, theirs):
        press.publish("six")
    with pytest.raises(UsageError, match="our index has no sixx"):
        compare(ours, theirs, "six", "sixx")


def test_several_numbers_of_one_payload_are_compared_once(ours: Press, theirs: Press) -> None:
    for number in (1, 2):
        ours.publish("six", number_=number)
        theirs.publish("six", number_=number)
    [each] = compare(ours, theirs).compared
    assert each.ours[0] == each.theirs[0] == "six-1.0+pb.2-py3-none-any.whl"


def test_a_wheel_that_is_damaged_or_missing(ours: Press, theirs: Press) -> None:
    for press in (ours, theirs):
        press.publish("six")
        made = press.publish("seven")
    made.wheel.unlink()
    six = theirs.index.root / "files" / "six-1.0+pb.1-py3-none-any.whl"
    six.write_bytes(six.read_bytes()[:-5])
    found = compare(ours, theirs)
    assert found.differ == () and {each.name: each.problem for each in found.broken} == {
        "seven": "theirs, seven-1.0+pb.1-py3-none-any.whl, is missing",
        "six": "theirs, six-1.0+pb.1-py3-none-any.whl, is not the one that its page lists, or damaged",
    }


def test_without_envelopes_records_are_found_by_the_payload(ours: Press, theirs: Press) -> None:
    for press in (ours, theirs):
        press.publish("six").envelope.unlink()
    [each] = compare(ours, theirs).compared
    assert not each.difference


def test_nothing_that_was_fetched_is_left(ours: Press, theirs: Press) -> None:
    """Neither of what was compared, nor of what was not."""
    readers = []
    for press in (ours, theirs):
        press.publish("six")
        press.publish("seven", number_=2, module=press.state.name.encode())
        (press.state / "fetched").mkdir()
        readers.append(Fetching(press.index.root, press.state / "fetched"))
    alone = ours.publish("alone")
    alone.envelope.unlink()
    shelves = [Shelf(reader=each, trust=Trust(keys={}), scratch=each.scratch) for each in readers]
    found = challenge(shelves[0], shelves[1])
    assert (len(found.compared), len(found.differ), found.alone) == (2, 1, (alone.wheel.name,))
    assert [each.left() for each in readers] == [[], []] and all(each.fetched for each in readers)


def test_a_record_of_ours_that_is_missing(ours: Press, theirs: Press) -> None:
    theirs.publish("six")
    mine = ours.publish("six")
    (mine.record / "plan.json").unlink()
    assert compare(ours, theirs).unknown == (mine.wheel.name,)
