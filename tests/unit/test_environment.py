import errno
import os
import stat
import threading

import pytest

from pybuilder import environment
from pybuilder.environment import Environments, PayloadRef, PythonTarget, freeze
from pybuilder.errors import BuildError, StateError
from pybuilder.files import remove_tree
from pybuilder.layout import Layout
from pybuilder.plan import Ingredient
from pybuilder.store import Store
from tests.support.wheels import Draft, stored_payload

PYTHON = PythonTarget(executable="/usr/bin/python3.14", version="3.14.2")
SITE = "lib/python3.14/site-packages"


@pytest.fixture
def layout(tmp_path):
    return Layout(root=tmp_path / "state")


@pytest.fixture
def add(layout, tmp_path):
    def add(**draft):
        payload, path = stored_payload(layout, tmp_path, Draft(**draft))
        return PayloadRef(sha256=payload.sha256, path=path)

    return add


def files_of(root):
    return {
        os.path.relpath(os.path.join(directory, name), root): os.lstat(os.path.join(directory, name))
        for directory, directories, files in os.walk(root)
        for name in directories + files
    }


@pytest.mark.filterwarnings("error")
def test_an_environment_is_a_virtual_environment_of_the_payloads(layout, add):
    demo = add(
        files={
            "demo/__init__.py": b"",
            "demo/tool": b"",
            "demo/__pycache__/x.pyc": b"",
            "demo-1.0.data/scripts/old": b"#!python\nprint('old')\n",
            "demo-1.0.data/data/share/demo.txt": b"shared",
            "demo-1.0.data/headers/demo.h": b"",
        },
        executable=["demo/tool"],
        entry_points="[console_scripts]\nnew = demo.x:main.run\n",
    )
    made = Environments(layout).prepare([demo, add(name="other", files={"other.py": b"1"})], python=PYTHON)
    assert made.parent == layout.environment("x").parent
    assert set(files_of(made)) >= {
        f"{SITE}/demo/__init__.py",
        f"{SITE}/other.py",
        "include/site/python3.14/demo/demo.h",
        "share/demo.txt",
    }
    assert not list(made.rglob("*.pyc"))
    assert (made / "bin/old").read_text() == "#!/env/bin/python\nprint('old')\n"
    assert (made / "bin/new").read_text().startswith("#!/env/bin/python\n")
    assert "from demo.x import main" in (made / "bin/new").read_text()
    assert (made / SITE / "demo-1.0.dist-info/INSTALLER").read_text() == "pybuild\n"
    assert "../../../bin/new,sha256=" in (made / SITE / "demo-1.0.dist-info/RECORD").read_text()
    assert (made / "pyvenv.cfg").read_text().splitlines() == [
        "home = /usr/bin",
        "include-system-site-packages = false",
        "version = 3.14.2",
    ]
    links = {name: os.readlink(made / name) for name in ("bin/python", "bin/python3", "bin/python3.14", "lib64")}
    assert links == {
        "bin/python": "/usr/bin/python3.14",
        "bin/python3": "python",
        "bin/python3.14": "python",
        "lib64": "lib",
    }


def test_everybody_may_read_it_whatever_the_umask(layout, add):
    payload = add(
        files={"demo/tool": b"", "demo/x.py": b""}, executable=["demo/tool"], entry_points="[gui_scripts]\ng = x:y"
    )
    old = os.umask(0o077)
    try:
        made = Environments(layout).prepare([payload], python=PYTHON)
    finally:
        os.umask(old)
    modes = {name: oct(info.st_mode & 0o777) for name, info in files_of(made).items() if not stat.S_ISLNK(info.st_mode)}
    executable = {name for name, mode in modes.items() if mode == "0o755" and (made / name).is_file()}
    assert executable == {f"{SITE}/demo/tool", "bin/g"}
    assert set(modes.values()) == {"0o755", "0o644"}
    assert oct(made.stat().st_mode & 0o777) == "0o755"


def test_a_payload_is_unpacked_once_and_linked(layout, add):
    demo, other = add(), add(name="other", files={"other.py": b"1"})
    one = Environments(layout).prepare([demo], python=PYTHON)
    two = Environments(layout).prepare([other, demo], python=PYTHON)
    assert (one / SITE / "demo/__init__.py").samefile(two / SITE / "demo/__init__.py")
    assert not (one / SITE / "other.py").exists()


def test_the_address_is_that_of_the_contents(layout, add):
    environments = Environments(layout)
    demo, other = add(), add(name="other", files={"other.py": b"1"})
    first = environments.prepare([demo, other], python=PYTHON)
    inode = first.stat().st_ino
    assert environments.prepare([other, demo], python=PYTHON) == first
    assert first.stat().st_ino == inode
    patch = PythonTarget(executable=PYTHON.executable, version="3.14.3")
    path = PythonTarget(executable="/opt/bin/python3.14", version="3.14.2")
    made = {environments.prepare([demo, other], python=python) for python in (PYTHON, patch, path)}
    assert len(made | {environments.prepare([demo], python=PYTHON), environments.prepare([], python=PYTHON)}) == 5


def test_an_existing_environment_is_only_looked_at(layout, add, monkeypatch):
    demo = add()
    first = Environments(layout).prepare([demo], python=PYTHON)
    demo.path.unlink()
    monkeypatch.setattr(os, "link", None)
    assert Environments(layout).prepare([demo], python=PYTHON) == first


def test_the_same_file_in_two_payloads_is_fine(layout, add):
    namespace = {"google/__init__.py": b"same"}
    one = add(files={**namespace, "google/a.py": b""})
    two = add(name="other", files={**namespace, "google/b.py": b""})
    made = Environments(layout).prepare([one, two], python=PYTHON)
    assert {path.name for path in (made / SITE / "google").iterdir()} == {"__init__.py", "a.py", "b.py"}


@pytest.mark.parametrize(
    ("ours", "theirs", "path"),
    [
        ({"tests/x.py": b"1"}, {"tests/x.py": b"2"}, "tests/x.py"),
        ({"x": b"1"}, {"x/y.py": b""}, "x"),
        ({"demo-1.0.data/scripts/run": b"1"}, {"other-1.0.data/scripts/run": b"2"}, "bin/run"),
    ],
)
def test_files_that_differ_are_a_conflict_that_names_both(layout, add, ours, theirs, path):
    payloads = [add(files=ours), add(name="other", files=theirs)]
    with pytest.raises(BuildError) as caught:
        Environments(layout).prepare(payloads, python=PYTHON)
    for said in ("demo-1.0-py3-none-any.whl", "other-1.0-py3-none-any.whl", path):
        assert said in caught.value.what
    assert not any((layout.root / "store/envs").iterdir())


@pytest.mark.parametrize("path", ["bin/python", "pyvenv.cfg", "lib64"])
def test_no_payload_replaces_the_environment_itself(layout, add, path):
    payload = add(files={f"demo-1.0.data/data/{path}": b"evil"})
    with pytest.raises(BuildError, match=f"the environment itself both have {path}"):
        Environments(layout).prepare([payload], python=PYTHON)


def test_two_versions_of_a_project_are_refused(layout, add):
    with pytest.raises(BuildError, match=r"demo-1\.\d-.* and demo-1\.\d-.* are the same project"):
        Environments(layout).prepare([add(), add(version="1.1", files={"x.py": b""})], python=PYTHON)


@pytest.mark.parametrize(
    "draft",
    [
        {"entry_points": "[console_scripts]\nx = demo\n"},
        {"entry_points": "[console_scripts]\n../../../x = demo:f\n"},
        {"entry_points": "[console_scripts]\nx\n"},
        {"files": {"demo/x": b"", "demo-1.0.data/purelib/demo/x": b""}},
        {"files": {"demo-1.0.data/nowhere/x": b""}},
        {"files": {"demo-1.0.data/scripts/run": b""}, "entry_points": "[console_scripts]\nrun = demo:f\n"},
    ],
)
def test_a_payload_that_can_not_be_installed_is_named(layout, add, draft):
    with pytest.raises(BuildError, match=r"demo-1\.0-py3-none-any\.whl can't be installed: ."):
        Environments(layout).prepare([add(**draft)], python=PYTHON)
    assert not list(layout.root.rglob("x")), "what was written is gone, and nothing was written outside"


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EMLINK])
def test_files_are_copied_where_they_can_not_be_linked(layout, add, monkeypatch, code):
    def refuse(*args, **options):
        raise OSError(code, os.strerror(code))

    payload = add(executable=["demo/__init__.py"])
    monkeypatch.setattr(os, "link", refuse)
    made = Environments(layout).prepare([payload], python=PYTHON)
    copied = made / SITE / "demo/__init__.py"
    assert (copied.read_bytes(), copied.stat().st_nlink, copied.stat().st_mode & 0o777) == (b"VALUE = 1\n", 1, 0o755)


def test_a_full_disk_leaves_nothing_and_the_next_run_goes_on(layout, add, monkeypatch):
    payload = add()
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", lambda *args, **options: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        patch.setattr(environment, "_link_failed", lambda error, *paths: (_ for _ in ()).throw(error))
        with pytest.raises(StateError, match="the disk is full"):
            Environments(layout).prepare([payload], python=PYTHON)
    assert not any((layout.root / "store/envs").iterdir())
    assert Environments(layout).prepare([payload], python=PYTHON).is_dir()


def test_several_at_once_make_one(layout, add):
    payloads = [add(), add(name="other", files={f"other/{number}.py": b"" for number in range(99)})]
    made, start = [], threading.Barrier(4)

    def work():
        start.wait()
        made.append(Environments(layout).prepare(payloads, python=PYTHON))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert len(set(made)) == 1
    assert len(list(made[0].rglob("other/*.py"))) == 99
    assert [path.name for path in (layout.root / "store/envs").iterdir()] == [made[0].name]


def test_freeze_is_what_pip_reads():
    named = [("zope-x", "1!2.0", "a" * 64), ("demo2", "1.0", "b" * 64), ("demo", "1.0", "c" * 64)]
    environment = [Ingredient(name=name, version=version, payload=sha256) for name, version, sha256 in named]
    assert freeze(environment).splitlines() == [
        f"demo==1.0 --hash=sha256:{'c' * 64}",
        f"demo2==1.0 --hash=sha256:{'b' * 64}",
        f"zope-x==1!2.0 --hash=sha256:{'a' * 64}",
    ]


def test_a_payload_that_is_damaged_is_not_unpacked(layout, add):
    payload = add(files={"one.py": b""})
    payload.path.write_bytes(payload.path.read_bytes() + b"x")
    with pytest.raises(StateError, match="damaged in the store, and was set aside"):
        Environments(layout).prepare([payload], python=PYTHON)
    assert Store(layout).payload(payload.sha256) is None


def add_bytecode(self, payload, tree, python):
    cache = tree / SITE / "__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "bytecode").touch()


@pytest.mark.parametrize("bytecode", [False, True])
@pytest.mark.parametrize(
    "lost", ["", "lib", "lib/python3.14/site-packages/pkg/data", "lib/python3.14/site-packages/*/*"]
)
def test_a_tree_that_has_lost_files_is_made_again(layout, add, monkeypatch, lost, bytecode):
    monkeypatch.setattr(Environments, "_compile", add_bytecode)
    one, other = add(files={"pkg/one.py": b"", "pkg/data": b""}), add(name="other", files={"other.py": b""})
    environments = Environments(layout)
    whole = environments.prepare([one], python=PYTHON, bytecode=bytecode)
    before, tree = described(whole), environments.unpack(one, python=PYTHON, bytecode=bytecode)
    for path in list(tree.glob(lost)) if lost else tree.iterdir():
        remove_tree(path)
    assert environments.prepare([one], python=PYTHON, bytecode=bytecode) == whole, "it is not composed again"
    composed = environments.prepare([one, other], python=PYTHON, bytecode=bytecode)
    assert {name for name, *_ in before} < {name for name, *_ in described(composed)}
    assert environments.unpack(one, python=PYTHON, bytecode=bytecode) == tree
    remove_tree(whole)
    assert described(environments.prepare([one], python=PYTHON, bytecode=bytecode)) == before


def test_bytecode_is_not_added_to_a_tree_that_has_lost_files(layout, add, monkeypatch):
    monkeypatch.setattr(Environments, "_compile", add_bytecode)
    one = add(files={"one.py": b"", "data": b""})
    environments = Environments(layout)
    plain = environments.unpack(one, python=PYTHON, bytecode=False)
    (plain / SITE / "data").unlink()
    assert (environments.prepare([one], python=PYTHON) / SITE / "data").exists()


@pytest.mark.parametrize("bytecode", [False, True])
def test_a_tree_that_loses_files_while_it_is_made_is_none(layout, add, monkeypatch, bytecode):
    def lose(root):
        remove_tree(root / SITE / "data")
        set_modes(root)

    one, set_modes = add(files={"one.py": b"", "data": b""}), environment._set_modes
    monkeypatch.setattr(Environments, "_compile", add_bytecode)
    with monkeypatch.context() as patched:
        patched.setattr(environment, "_set_modes", lose)
        with pytest.raises(StateError, match="somebody has removed files of demo"):
            Environments(layout).unpack(one, python=PYTHON, bytecode=bytecode)
    assert os.listdir(layout.payload(one.sha256)) == [one.path.name]
    assert Environments(layout).unpack(one, python=PYTHON, bytecode=bytecode).is_dir()


def test_bytecode_is_left_out_where_it_is_not_worth_it(layout, add, monkeypatch):
    compiled = []
    monkeypatch.setattr(Environments, "_compile", lambda self, payload, tree, python: compiled.append(tree))
    one, other = add(files={"one.py": b""}), add(name="other", files={"other.py": b""})
    environments = Environments(layout)
    plain = environments.prepare([one], python=PYTHON, bytecode=False)
    assert not compiled
    full = environments.prepare([one, other], python=PYTHON)
    assert len(compiled) == 2 and full != plain
    again = environments.prepare([other], python=PYTHON, bytecode=False)
    assert len(compiled) == 2, "a tree that has some serves as well"
    assert (again / SITE / "other.py").samefile(full / SITE / "other.py")


def test_what_has_bytecode_anyhow_is_one_environment_for_builds_and_install_tests(layout, add, monkeypatch):
    monkeypatch.setattr(Environments, "_compile", lambda self, payload, tree, python: None)
    one, other = add(files={"one.py": b""}), add(name="other", files={"other.py": b""})
    environments = Environments(layout)
    tree = environments.unpack(one, python=PYTHON)
    assert environments.unpack(one, python=PYTHON, bytecode=False) == tree
    tested = environments.prepare([one], python=PYTHON, bytecode=False)
    assert (tested / SITE / "one.py").samefile(tree / SITE / "one.py")
    assert environments.prepare([one], python=PYTHON) == tested
    both = environments.prepare([one, other], python=PYTHON, bytecode=False)
    assert environments.prepare([one, other], python=PYTHON, bytecode=False) == both
    assert environments.prepare([one, other], python=PYTHON) != both
    # Now that there is one with bytecode, it serves both.
    assert environments.prepare([one, other], python=PYTHON, bytecode=False) != both
    assert environments.prepare([], python=PYTHON, bytecode=False) == environments.prepare([], python=PYTHON)


def test_what_an_install_test_has_unpacked_is_not_unpacked_again(layout, add, monkeypatch):

    def compile(self, payload, tree, python):
        (tree / SITE / "pkg" / "bytecode").touch()

    monkeypatch.setattr(Environments, "_compile", compile)
    one = add(files={"pkg/__init__.py": b"", "pkg/sub/data": b"data"})
    environments = Environments(layout)
    plain, full = (environments.prepare([one], python=PYTHON, bytecode=wanted) for wanted in (False, True))
    assert (full / SITE / "pkg" / "sub" / "data").samefile(plain / SITE / "pkg" / "sub" / "data")
    assert (full / SITE / "pkg" / "bytecode").exists()
    assert not list(layout.payload(one.sha256).glob("tree-*-source/**/bytecode"))
    fresh = Environments(Layout(root=layout.root.with_name("fresh")))
    other = PayloadRef(sha256=one.sha256, path=fresh.layout.payload(one.sha256) / one.path.name)
    other.path.parent.mkdir(parents=True)
    other.path.write_bytes(one.path.read_bytes())
    assert described(fresh.prepare([other], python=PYTHON)) == described(full)


def described(root):
    paths = sorted(root.rglob("*"))
    return [
        (str(path.relative_to(root)), path.is_file() and path.read_bytes(), path.stat().st_mode)
        for path in paths
        if not path.is_symlink()
    ]


def test_an_install_test_takes_the_tree_that_somebody_is_just_making(layout, add, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()

    def compile(self, payload, tree, python):
        begun.set()
        go_on.wait(10)

    monkeypatch.setattr(Environments, "_compile", compile)
    one = add(files={"one.py": b""})
    environments = Environments(layout)
    maker = threading.Thread(target=environments.prepare, args=([one],), kwargs={"python": PYTHON})
    waiting = threading.Thread(target=environments.prepare, args=([one],), kwargs={"python": PYTHON, "bytecode": False})
    maker.start()
    assert begun.wait(10)
    waiting.start()
    waiting.join(0.1)
    go_on.set()
    for thread in (maker, waiting):
        thread.join()
    assert [path.name for path in layout.payload(one.sha256).glob("tree-*")] == [
        f"tree-{environment._FORMAT}-py{PYTHON.minor}"
    ]
