import pytest
from packaging.version import Version

from pybuilder.wheel.check import problems
from tests.support.wheels import DAMAGED, NASTY, Draft, digest

RECORD = Draft().contents()["demo-1.0.dist-info/RECORD"].decode()
FIELDS = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def of(path):
    return problems(path, name="demo", version=Version("1.0"))


def test_a_sound_wheel_has_no_problems(tmp_path):
    draft = Draft(
        build="1",
        tag="py2.py3-none-any",
        entry_points="[console_scripts]\na-b = demo:main\nc = demo.x:y.z [extra]\n[other.group]\nname x = demo\n",
        files={"demo/__init__.py": b"", "demo/x.pyc": b"", "demo-1.0.data/purelib/y/z.py": b""},
    )
    assert of(draft.write(tmp_path)) == ()


@pytest.mark.parametrize("kind", NASTY)
def test_what_can_not_be_opened_is_a_problem(tmp_path, kind):
    make, message = NASTY[kind]
    (problem,) = of(make(tmp_path))
    assert message in problem


def test_damage_is_a_problem(tmp_path):
    (problem,) = of(DAMAGED(tmp_path))
    assert "damaged" in problem


@pytest.mark.parametrize(
    ("draft", "expected"),
    [
        (Draft(name="other"), "the file name says other 1.0, not demo 1.0"),
        (Draft(version="1.1"), "the file name says demo 1.1, not demo 1.0"),
        (Draft(metadata=b"Metadata-Version: 2.1\nName: x\nVersion: 1.0\n"), "METADATA says Name: x, not demo"),
        (Draft(metadata=b"Metadata-Version: 2.1\nName: demo\nVersion: 2\n"), "METADATA says Version: 2, not 1.0"),
        (Draft(metadata=b"Metadata-Version: 2.1\nName: demo\n"), "METADATA says Version: (none, or several), not 1.0"),
        (Draft(metadata=b"Name: demo\nVersion: 1.0\n"), "METADATA has no single Metadata-Version"),
        (Draft(metadata=b"\xff"), "METADATA is not UTF-8"),
        (Draft(wheel=FIELDS.replace("1.0", "2.0").encode()), "Wheel-Version: 2.0, and only 1.x is known"),
        (Draft(wheel=b"Wheel-Version: 1.0\nTag: py3-none-any\n"), "Root-Is-Purelib: (none), which is neither"),
        (Draft(wheel=FIELDS.replace("true", "yes").encode()), "Root-Is-Purelib: yes, which is neither"),
        (Draft(wheel=FIELDS.replace("py3", "py2").encode()), "the tags py2-none-any, the file name py3-none-any"),
        (Draft(wheel=(FIELDS + "Build: 3\n").encode()), "WHEEL says Build: 3, the file name (none)"),
        (Draft(wheel=FIELDS.encode(), filename="demo-1.0-3-py3-none-any.whl"), "Build: (none), the file name 3"),
        (Draft(files={"demo-1.0.data/lib/x": b""}), "'demo-1.0.data/lib/x' is in none of purelib, platlib"),
        (Draft(files={"demo-1.0.data/scripts": b""}), "'demo-1.0.data/scripts' is in none of"),
        (Draft(entry_points="[console_scripts]\nx\n"), "entry_points.txt can't be read"),
        (Draft(entry_points="[console_scripts]\n../x = demo:f\n"), "a script with the name '../x'"),
        (Draft(entry_points="[gui_scripts]\n.. = demo:f\n"), "a script with the name '..'"),
        (Draft(entry_points="[console_scripts]\nx = demo\n"), "points 'x' to 'demo', which is no object reference"),
        (Draft(entry_points="[other]\nx = a b\n"), "points 'x' to 'a b', which is no object reference"),
    ],
)
def test_each_problem_is_named(tmp_path, draft, expected):
    found = of(draft.write(tmp_path))
    assert any(expected in problem for problem in found), found


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (RECORD.replace(digest(b"VALUE = 1\n"), digest(b"")), "RECORD has another digest for 'demo/__init__.py'"),
        (RECORD.replace(",10\n", ",11\n"), "RECORD has the size 11 instead of 10 for 'demo/__init__.py'"),
        (RECORD.replace(",10\n", ",\n"), "RECORD has the size (none) instead of 10 for"),
        (RECORD.replace("sha256=", "md5="), "no digest by sha256 or sha384 or sha512 for 'demo/__init__.py'"),
        (RECORD.replace("demo/__init__.py", "demo/x.py"), "RECORD does not list 'demo/__init__.py'"),
        (RECORD.replace("demo/__init__.py", "demo/x.py"), "RECORD lists 'demo/x.py', which is not in the wheel"),
        (RECORD + "demo/__init__.py,,\n", "RECORD lists 'demo/__init__.py' 2 times"),
        (RECORD.replace("RECORD,,", "RECORD,,9"), "RECORD has a digest or size of itself"),
        (RECORD + "demo-1.0.dist-info/RECORD.jws,,\n", "RECORD lists 'demo-1.0.dist-info/RECORD.jws', which is not"),
        (RECORD + "a,b\n", "RECORD can't be read: the line 'a,b' has 2 fields"),
    ],
)
def test_each_problem_of_record_is_named(tmp_path, record, expected):
    found = of(Draft(record=record.encode()).write(tmp_path))
    assert any(expected in problem for problem in found), found


def test_signatures_are_not_in_record(tmp_path):
    signature = "demo-1.0.dist-info/RECORD.jws"
    assert of(Draft(files={signature: b"{}"}, record=RECORD.split("\n", 1)[1].encode()).write(tmp_path)) == ()
    (problem,) = of(Draft(files={signature: b"{}"}).write(tmp_path))
    assert problem == f"RECORD lists its own signature {signature!r}"


def test_problems_are_all_collected(tmp_path):
    draft = Draft(metadata=b"Name: x\n", wheel=b"", record=RECORD.encode(), entry_points="[x]\ny = \n")
    draft.wheel = b"Tag: py2-none-any\n"
    assert len(of(draft.write(tmp_path))) >= 8


def test_what_a_terminal_would_obey_is_not_told(tmp_path):
    metadata = b"Metadata-Version: 2.1\nName: de\x1b[31mmo\nVersion: 1.0\n"
    assert of(Draft(metadata=metadata).write(tmp_path)) == (
        "METADATA says Name: de\N{REPLACEMENT CHARACTER}[31mmo, not demo",
    )


def test_of_many_only_the_first_are_told_and_none_at_length(tmp_path):
    record = RECORD + "".join(f"{'x' * 2000}{number},sha256=aa,1\n" for number in range(1000))
    found = of(Draft(record=record.encode()).write(tmp_path))
    assert len(found) == 21 and found[-1] == "and 980 more"
    assert max(map(len, found)) == 500
