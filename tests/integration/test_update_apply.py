"""``update --apply``, ``--commit`` and ``--branch``: real sources, real patches, real git."""

from __future__ import annotations

import difflib
import hashlib
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.version import Version

from pybuilder.names import normalize
from tests.support.git import git, repository
from tests.support.wheels import Draft
from tests.support.workspaces import Bench, bench, tiny_files, wait_for

LINES = [f"line {number}\n" for number in range(60)]


def module(*changed: int, by: str = "upstream", shift: int = 0) -> bytes:
    """A file of many lines, of which some have changed."""
    lines = [f"# {by} {number}\n" if number in changed else line for number, line in enumerate(LINES)]
    return "".join(["# more\n"] * shift + lines).encode()


def change(here: Bench, name: str, file: str, *lines: int, on: tuple[int, ...] = ()) -> Path:
    """A patch that changes lines of the module, made for one in which some are changed already."""
    before, after = (text.decode().splitlines(keepends=True) for text in (module(*on, by="ours"), module()))
    after = [f"# ours {n}\n" if n in (*on, *lines) else line for n, line in enumerate(LINES)]
    patch = here.workspace / "patches" / name / file
    patch.parent.mkdir(exist_ok=True)
    text = "".join(difflib.unified_diff(before, after, "a/big.py", "b/big.py"))
    patch.write_text(f"Why this is needed.\n\n{text}")
    return patch


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def pinned(here: Bench, *names: str) -> None:
    """Build what the specs say, so that it is pinned and published, and commit it."""
    here.build(*names)
    (here.workspace / ".gitignore").write_text(".pybuild/\n")
    if not (here.workspace / ".git").exists():
        git(here.workspace, "init", "-q", "-b", "main")
    git(here.workspace, "add", "-A")
    git(here.workspace, "commit", "-qm", "pinned")


def pin(path: Path) -> str:
    return f'{{ file = "{path.name}", sha256 = "{hashlib.sha256(path.read_bytes()).hexdigest()}" }}'


def test_a_new_version_with_its_patches_is_committed_and_builds(here: Bench) -> None:
    old = here.sdist("demo", files={"big.py": module()}, requires=["dep>=1", "gone"], requires_python=">=3.8")
    here.accept("dep")
    here.accept("gone")
    far = change(here, "demo", "0001-far.patch", 50)
    near = change(here, "demo", "0002-near.patch", 20, on=(50,))
    merged = change(here, "demo", "0003-merged.patch", 5, on=(20, 50))
    here.spec("demo", '# A person wrote this.\n[update]\nmode = "review" # asked for by name\n')
    here.accept("user", requires=["demo"])
    pinned(here, "user")
    before = {patch: patch.read_bytes() for patch in (far, near, merged)}
    files = {"big.py": module(22).replace(b"line 5\n", b"# ours 5\n")}
    new = here.sdist("demo", "1.1", files=files, requires=["dep>=1", "dep2"], requires_python=">=3.9")
    (here.workspace / "notes").write_text("mine\n")

    ran = here.pybuild("update", "demo", "--commit", "--json")
    assert ran.code == 0, ran.stderr
    [taken] = ran.json["taken"]
    assert (taken["taken"], taken["old"], taken["version"], taken["needed_by"]) == (True, "1.0", "1.1", 1)
    assert [(each["file"], each["fate"], each["versions"]) for each in taken["patches"]] == [
        ("0001-far.patch", "applies", ""),
        ("0002-near.patch", "rebased", "<1.1"),
        ("0003-merged.patch", "merged", "<1.1"),
    ]
    assert taken["files"] == ["specs/demo.toml", "patches/demo/0002-near-1.1.patch"]
    assert taken["commit"] == git(here.workspace, "rev-parse", "main")
    assert git(here.workspace, "show", "--format=%an%n%B", "--name-only", "HEAD").splitlines() == [
        "pybuild",
        "demo: update to 1.1 from 1.0",
        "",
        "Source: demo-1.1.tar.gz",
        f"sha256: {hashlib.sha256(new.read_bytes()).hexdigest()}",
        "",
        "Requirements:",
        "- Python: >=3.8 -> >=3.9",
        "- install: new: dep2",
        "- install: gone: gone",
        "",
        "Patches:",
        "- 0001-far.patch: still applies",
        "- 0002-near.patch: rebased, as 0002-near-1.1.patch, the old one is for <1.1 from now on",
        "- 0003-merged.patch: upstream has merged it; it is for <1.1 from now on",
        "",
        "Look:",
        "- dep2, which it needs now, has no spec yet",
        "",
        "Needed by 1 package.",
        "",
        "",
        "patches/demo/0002-near-1.1.patch",
        "specs/demo.toml",
    ]
    assert here.spec_text("demo") == (
        'name = "demo"\n# A person wrote this.\n[update]\nmode = "review" # asked for by name\n\n'
        '[[patches]]\nfile = "0001-far.patch"\n\n'
        '[[patches]]\nfile = "0002-near-1.1.patch"\nversions = ">=1.1"\n\n'
        '[[patches]]\nfile = "0002-near.patch"\nversions = "<1.1"\n\n'
        '[[patches]]\nfile = "0003-merged.patch"\nversions = "<1.1"\n\n'
        f'[versions]\n"1.0" = {pin(old)}\n"1.1" = {pin(new)}\n'
    )
    assert {patch: patch.read_bytes() for patch in before} == before
    assert (here.workspace / "patches/demo/0002-near-1.1.patch").read_text().startswith("Why this is needed.\n\ndiff")
    here.accept("dep2")
    # What was there is built from the same as before, and the new one from what was tried.
    assert here.build("demo==1.0").cached() == ["demo==1.0+pb.1"]
    assert here.build("demo==1.1").built() == ["dep2==1.0+pb.1", "demo==1.1+pb.1"]
    assert here.pybuild("lint", "--apply").code == 0
    assert here.pybuild("update", "--commit").code == 0
    assert git(here.workspace, "log", "--format=%s") == "demo: update to 1.1 from 1.0\npinned"
    here.check_sound()


def test_what_a_person_must_look_at_is_left_as_it_was(here: Bench) -> None:
    """A patch that conflicts, updates that are off, a spec with half-done work; the others are taken all the same."""
    for name in ("clash", "off", "busy", "fine"):
        here.accept(name, files={"big.py": module()})
    change(here, "clash", "0001-x.patch", 20, 40)
    here.spec("off", '[update]\nmode = "off"\nreason = "a fork is coming"\n')
    pinned(here, "clash", "off", "busy", "fine")
    for name in ("clash", "off", "busy", "fine"):
        here.sdist(name, "1.1", files={"big.py": module(20)})
    with (here.workspace / "specs/busy.toml").open("a") as stream:
        stream.write("# a thought\n")
    before = {name: here.spec_text(name) for name in ("clash", "off", "busy")}

    ran = here.pybuild("update", "--commit")
    assert ran.code == 3
    assert {name: here.spec_text(name) for name in before} == before
    assert git(here.workspace, "log", "--format=%s") == "fine: update to 1.1 from 1.0\npinned"
    assert "clash 1.1: left as it was" in ran.stdout and "    -line 20\n    +# ours 20\n" in ran.stdout
    assert "patches/clash/0001-x.patch: hunk at line 18 of big.py does not apply, and it can't be rebased" in ran.stderr
    assert "specs/busy.toml has changes that nobody has committed" in ran.stderr and "off" not in ran.stderr
    assert git(here.workspace, "status", "--porcelain") == "M specs/busy.toml"

    ran = here.pybuild("update", "off", "--apply")
    assert ran.code == 2 and "updates of off are off: a fork is coming" in ran.stderr
    assert here.pybuild("update", "clash", "--apply").code == 40
    [waits] = here.pybuild("review", "list", "--json").json["review"]
    assert (waits["requirement"], waits["wanted_by"]) == ("clash==1.1", "update")
    assert "+# ours 20" in here.pybuild("review", "show", "clash").stdout
    # What a person asks for in the files is put beside their own work.
    ran = here.pybuild("update", "busy", "--apply")
    assert ran.code == 0 and "# a thought" in here.spec_text("busy") and '"1.1" = ' in here.spec_text("busy")
    assert list((here.state / "work").iterdir()) == []


def test_branches_and_hooks(here: Bench) -> None:
    here.accept("demo", spec='[update]\nseries = ["1.*", "2.*"]\n')
    here.sdist("demo", "2.0", module="V = 2\n")
    pinned(here, "demo==1.0", "demo==2.0")
    here.sdist("demo", "1.1", module="V = 1.1\n")
    here.sdist("demo", "2.1", module="V = 2.1\n")
    before = here.spec_text("demo")
    ran = here.pybuild("update", "--branch", "--json")
    assert ran.code == 0, ran.stderr
    assert [(each["branch"], each["old"]) for each in ran.json["taken"]] == [
        ("pybuild/demo-1.1", "1.0"),
        ("pybuild/demo-2.1", "2.0"),
    ]
    assert here.spec_text("demo") == before and git(here.workspace, "status", "--porcelain") == ""
    versions = git(here.workspace, "show", "pybuild/demo-1.1:specs/demo.toml").partition("[versions]\n")[2]
    assert [line.split()[0] for line in versions.splitlines()] == ['"1.0"', '"1.1"', '"2.0"']
    # Proposed already; somebody has gone on with one of them.
    git(here.workspace, "branch", "-f", "pybuild/demo-2.1", "pybuild/demo-1.1")
    again = here.pybuild("update", "--branch", "--json")
    assert [each["commit"] for each in again.json["taken"]] == [ran.json["taken"][0]["commit"], ""]
    assert again.code == 3 and "there is a branch pybuild/demo-2.1 with something else on it" in again.stderr

    hook = here.workspace / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\ngrep -q '\"1.1\"' specs/demo.toml || { echo 1.1 comes first >&2; exit 1; }\nexit 9\n")
    hook.chmod(0o755)
    ran = here.pybuild("update", "--commit")
    assert ran.code == 3 and here.spec_text("demo") == before
    assert "demo 2.1: git commit failed: 1.1 comes first" in ran.stderr
    hook.unlink()
    assert here.pybuild("update", "--commit").code == 0
    assert git(here.workspace, "log", "--format=%s", "-2").splitlines() == [
        "demo: update to 2.1 from 2.0",
        "demo: update to 1.1 from 1.0",
    ]


def test_a_version_that_is_no_new_source(here: Bench, tmp_path: Path) -> None:
    """A tag that was moved on without a change: another archive, in which nothing differs."""
    upstream = tmp_path / "forge"
    files = {name: data for name, data in tiny_files("demo", "1.0").items() if name != "PKG-INFO"}
    repository(upstream, files, tag="v1.0")
    source = f'[source]\ntype = "git"\nurl = "file://{upstream}"\ntag = "v{{version}}"\n'
    here.spec("demo", f'{source}[update]\nsource = "git"\ntag-prefix = "v"\n')
    here.build("demo==1.0")
    repository(upstream, {}, tag="v1.1")
    repository(upstream, {"README": b"new\n"}, tag="v1.2rc1")
    ran = here.pybuild("update", "--commit")
    assert ran.code == 40 and "nothing in its source differs from that of 1.0" in ran.stderr
    repository(upstream, {"README": b"newer\n"}, tag="v1.2")
    ran = here.pybuild("update", "--commit")
    assert ran.code == 0 and "demo 1.2: written: specs/demo.toml; not committed, since" in ran.stdout
    git(upstream, "tag", "v1.3", "v1.0^{}")
    ran = here.pybuild("update", "--apply")
    assert ran.code == 40 and "which is that of 1.0" in ran.stderr


def test_interrupted_and_killed_while_a_hook_runs(here: Bench) -> None:
    here.accept("demo")
    pinned(here, "demo")
    here.sdist("demo", "1.1", module="V = 1.1\n")
    before = here.spec_text("demo")
    hook, running = here.workspace / ".git/hooks/pre-commit", here.root / "running"
    hook.write_text(f"#!/bin/sh\ntouch {running}\nsleep 60\n")
    hook.chmod(0o755)
    with here.start("update", "--commit") as process:
        wait_for(running.exists)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130, process.communicate()[1]
    assert here.spec_text("demo") == before and git(here.workspace, "status", "--porcelain") == ""
    assert not (here.workspace / ".git/index.lock").exists()
    running.unlink()
    hook.write_text(f"#!/bin/sh\ntouch {running}\nsleep 1\n")
    with here.start("update", "--commit") as process:
        wait_for(running.exists)
        process.kill()
    # Its git goes on without it; the next run waits for that, and finds that all is done.
    ran = here.pybuild("update", "--commit", "--json")
    assert ran.code == 0 and ran.json["taken"] == [], ran.stderr
    assert git(here.workspace, "log", "--format=%s") == "demo: update to 1.1 from 1.0\npinned"
    assert git(here.workspace, "status", "--porcelain") == ""
    assert here.build("demo").built() == ["demo==1.1+pb.1"]


def test_upstreams_wheel_in_place_of_a_source_and_a_source_that_nobody_can_have(here: Bench) -> None:
    for version, requires in (("1.0", "dep"), ("1.1", "dep>=2")):
        draft = Draft(name="alpha", version=version, tag="py3-none-any", files={"alpha.py": version.encode()})
        replace(draft, extra_metadata=f"Requires-Dist: {requires}\n").write(here.upstream.directory)
    here.spec("alpha", '[prebuilt]\nreason = "it needs a compiler of 1987"\n')
    here.accept("dep")
    here.accept("gone", files={"big.py": module()})
    change(here, "gone", "0001-x.patch", 20)
    assert here.pybuild("build", "alpha==1.0", "gone").code == 0
    (here.upstream.directory / "gone-1.0.tar.gz").unlink()
    shutil.rmtree(here.state / "store" / "sources")
    here.sdist("gone", "1.1", files={"big.py": module(50)})
    ran = here.pybuild("update", "--apply", "--json")
    assert ran.code == 0, ran.stderr
    alpha, gone = ran.json["taken"]
    assert (alpha["pin"]["file"], alpha["old"]) == ("alpha-1.1-py3-none-any.whl", "1.0")
    assert alpha["requirements"] == [{"kind": "install", "name": "dep", "before": ["dep"], "after": ["dep>=2"]}]
    [note] = gone["notes"]
    assert note.startswith("the source of 1.0 can't be had, so that nothing was compared with it: ")
    assert gone["patches"][0]["fate"] == "applies"
    # Without the source that it was made for, a patch can't be taken over.
    here.sdist("gone", "1.2", files={"big.py": module(22)})
    (here.upstream.directory / "gone-1.1.tar.gz").unlink()
    shutil.rmtree(here.state / "store" / "sources")
    ran = here.pybuild("update", "gone", "--apply")
    assert ran.code == 40 and "it can't be rebased" in ran.stderr and '"1.2"' not in here.spec_text("gone")


def test_a_version_that_somebody_pins_meanwhile(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its spec was read before that: it is an sdist all the same."""
    here.accept("demo")
    new = here.sdist("demo", "2.0")
    with here.session() as session:
        uptake = session.uptake()
        before = uptake._spec(normalize("demo"))
        here.spec("demo", f'[versions]\n"2.0" = {pin(new)}\n')
        monkeypatch.setattr(type(uptake), "_spec", lambda self, name: before)
        prepared = uptake.prepare(normalize("demo"), Version("2.0"))
    assert prepared.version == Version("2.0")
