"""A full disk, a state that can't be written, one that is damaged or lost, or somebody else's."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.disks import disk, need_root, remount
from tests.support.workspaces import Bench, bench


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        made.accept("alpha", requires=["beta"])
        made.accept("beta")
        yield made


class TestFullDisk:
    def test_at_every_stage(self, here: Bench) -> None:
        """A disk with room for ever more files, until all is done; each is published once in the end."""
        with disk(here.root / "disk", "size=1g,nr_inodes=4"):
            here.state = here.root / "disk" / "state"
            errors = []
            for files in range(4, 400, 17):
                remount(here.root / "disk", f"nr_inodes={files}")
                ran = here.pybuild("build", "alpha")
                if ran.code == 0:
                    break
                # In the backend's own words where it was the first to notice.
                full = "disk is full" in ran.stderr or "No space left on device" in ran.stderr
                assert ran.code == 10 or (full and ran.code in (1, 20)), ran.stderr
                errors.append(ran.stderr)
            assert len(errors) > 4
            remount(here.root / "disk", "nr_inodes=100000")
            assert here.pybuild("build", "alpha").code == 0
            here.check_sound()
            assert len(here.published("beta")) == len(here.published("alpha")) == 1

    def test_too_little_room_is_no_failure_of_the_package(self, here: Bench) -> None:
        with disk(here.root / "disk", "size=200m"):
            here.state = here.root / "disk" / "state"
            for _ in range(2):
                ran = here.pybuild("build", "alpha")
                assert (
                    ran.code == 1 and "MiB are free on the disk" in ran.stderr and "do: free some space" in ran.stderr
                )
            assert here.attempts("alpha") == []
            remount(here.root / "disk", "size=400m")
            here.build("alpha")
            here.check_sound()

    @pytest.mark.parametrize("pause", ["time.sleep(0.01)", "pass"], ids=["steadily", "at once"])
    def test_a_build_that_fills_it_is_ended(self, here: Bench, pause: str) -> None:
        """Before the disk is full if we come in time; and if not, what we can't write down fails as clearly."""
        act = f"import time\nf = open('/build/big', 'wb')\nwhile True: f.write(bytes(1 << 20)); {pause}"
        here.accept("gamma", act=act)
        with disk(here.root / "disk", "size=300m"):
            here.state = here.root / "disk" / "state"
            ran = here.pybuild("build", "gamma")
            if pause == "pass":
                assert ran.code in (1, 10), ran.stderr
            else:
                assert ran.code == 10 and "MiB free on the disk" in ran.stderr, ran.stderr
            assert "gamma 1.0" in ran.stderr
            [attempt] = here.attempts("gamma")
            assert attempt["state"] == "failed"
            assert list(here.state.glob(f"store/records/*/{attempt['id']}/record.json")) != []
            here.build("alpha")
            here.check_sound()

    def test_no_byte_is_left(self, here: Bench) -> None:
        with disk(here.root / "disk", "size=400m"):
            here.state = here.root / "disk" / "state"
            here.build("alpha")
            here.patch("alpha", "tiny.json", "VERSION", "OTHER")
            ballast = here.root / "disk" / "ballast"
            with ballast.open("wb") as stream:
                try:
                    while True:
                        stream.write(bytes(1 << 20))
                        stream.flush()
                except OSError:
                    pass
            ran = here.pybuild("build", "alpha")
            assert ran.code == 1, ran.stderr
            assert "full" in ran.stderr and "free some space" in ran.stderr
            ballast.unlink()
            assert here.build("alpha").built() == ["alpha==1.0+pb.2"]
            here.check_sound()


class TestUnwritable:
    def test_a_read_only_file_system(self, here: Bench) -> None:
        with disk(here.root / "disk", "size=400m"):
            here.state = here.root / "disk" / "state"
            here.build("alpha")
            remount(here.root / "disk", "ro")
            ran = here.pybuild("build", "alpha")
            shown = here.pybuild("show", "alpha", "--json")
            verified = here.pybuild("index", "verify")
            new = here.pybuild("--state", str(here.root / "disk" / "new"), "build", "alpha")
            remount(here.root / "disk", "rw")
            assert (ran.code, new.code) == (1, 1)
            for said in (ran.stderr, new.stderr):
                assert "read" in said and "only" in said and "--state" in said
            assert shown.code in (0, 1)
            assert verified.code in (0, 1)
            assert here.build("alpha").cached() == ["alpha==1.0+pb.1"]
            here.check_sound()

    def test_a_workspace_that_is_read_only_is_no_reason_not_to_build(self, here: Bench) -> None:
        need_root()
        subprocess.run(["mount", "--bind", here.workspace, here.workspace], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,ro,bind", here.workspace], check=True)
            assert here.build("alpha").built() == ["beta==1.0+pb.1", "alpha==1.0+pb.1"]
            assert here.build("alpha").cached() == ["alpha==1.0+pb.1"]
        finally:
            subprocess.run(["umount", "--lazy", here.workspace], check=True)
        # The state has the pins, so a replaced file is noticed all the same.
        assert "versions" not in (here.workspace / "specs" / "alpha.toml").read_text()

    def test_a_file_where_the_state_should_be(self, here: Bench) -> None:
        here.state.write_text("")
        ran = here.pybuild("build", "alpha")
        assert ran.code == 1 and str(here.state) in ran.stderr

    def test_somebody_elses(self, here: Bench) -> None:
        here.build("alpha")
        owner = here.state / "owner.json"
        mine = owner.read_text()
        owner.write_text(mine.replace(f'"uid": {os.geteuid()}', '"uid": 12345'))
        ran = here.pybuild("build", "alpha")
        assert ran.code == 3
        assert "uid 12345" in ran.stderr and "--state" in ran.stderr
        owner.write_text(mine)
        assert here.build("alpha").cached() == ["alpha==1.0+pb.1"]

    def test_another_user(self, here: Bench) -> None:
        need_root()
        here.build("alpha")
        argv = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "test", "-w", str(here.state)]
        assert subprocess.run(argv).returncode == 1


class TestDatabase:
    @pytest.fixture
    def built(self, here: Bench) -> Bench:
        here.build("alpha")
        here.rebuild("alpha==1.0")
        return here

    def lose(self, here: Bench) -> None:
        for file in here.state.glob("state.db*"):
            file.unlink()

    def test_deleted(self, built: Bench) -> None:
        """Records and index say what there was: cached stays cached, numbers go on."""
        self.lose(built)
        assert built.build("alpha").cached() == ["alpha==1.0+pb.2"]
        assert built.outcomes("alpha") == ["succeeded", "succeeded"]
        self.lose(built)
        assert built.rebuild("alpha==1.0").built() == ["alpha==1.0+pb.3"]
        builds = built.pybuild("show", "alpha", "--json").json["builds"]
        assert [build["number"] for build in builds if build["number"]] == [3, 2, 1]
        built.check_sound()

    def test_deleted_by_someone_who_shows_first(self, built: Bench) -> None:
        """Whatever command comes first, nothing may be forgotten for good."""
        self.lose(built)
        built.pybuild("show", "alpha")
        assert built.rebuild("alpha==1.0").built() == ["alpha==1.0+pb.3"]
        assert built.build("beta").cached() == ["beta==1.0+pb.1"]

    def test_recovering_is_killed(self, built: Bench) -> None:
        """Half a recovery must not pass for a whole one."""
        from tests.integration.test_interruption import die_at

        self.lose(built)
        effects = int(die_at(built, 1_000_000, "build", "alpha").stderr.split()[-1])
        for effect in range(2, effects, max(1, effects // 6)):
            self.lose(built)
            assert die_at(built, effect, "build", "alpha").returncode == 9
            assert built.build("alpha").cached() == ["alpha==1.0+pb.2"], effect
        assert built.rebuild("alpha==1.0").built() == ["alpha==1.0+pb.3"]
        assert built.rebuild("beta==1.0").built() == ["beta==1.0+pb.2"]
        built.check_sound()

    @pytest.mark.parametrize("damage", ["garbage", "truncated", "middle"])
    def test_damaged(self, built: Bench, damage: str) -> None:
        database = built.state / "state.db"
        with sqlite3.connect(database) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        data = bytearray(database.read_bytes())
        if damage == "middle":
            data[4096:] = os.urandom(len(data) - 4096)
        database.write_bytes(
            {"garbage": os.urandom(8192), "truncated": bytes(data[:2500]), "middle": bytes(data)}[damage]
        )
        ran = built.pybuild("build", "alpha")
        assert ran.code == 1, ran.stderr
        assert "state.db" in ran.stderr and "move state.db away" in ran.stderr
        self.lose(built)
        assert built.rebuild("alpha==1.0").built() == ["alpha==1.0+pb.3"]
        built.check_sound()

    def test_an_empty_file(self, built: Bench) -> None:
        """What is left of a database when a disk was full is as good as none."""
        self.lose(built)
        (built.state / "state.db").touch()
        assert built.build("alpha").cached() == ["alpha==1.0+pb.2"]

    def test_of_a_newer_pybuild(self, built: Bench) -> None:
        with sqlite3.connect(built.state / "state.db") as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
        ran = built.pybuild("build", "alpha")
        assert ran.code == 1 and "version 99" in ran.stderr and "--state" in ran.stderr


class TestStore:
    def test_payloads_are_gone(self, here: Bench) -> None:
        """What is published stays published; what is needed is built again."""
        here.build("alpha")
        shutil.rmtree(here.state / "store" / "payloads")
        shutil.rmtree(here.state / "store" / "envs")
        assert here.build("alpha").code == 0
        assert here.outcomes("alpha") == ["succeeded", "succeeded"]
        here.check_sound()

    def test_sources_are_gone(self, here: Bench) -> None:
        here.build("alpha")
        shutil.rmtree(here.state / "store" / "sources")
        assert here.rebuild("alpha==1.0").built() == ["alpha==1.0+pb.2"]

    def test_environments_are_gone(self, here: Bench) -> None:
        here.accept("gamma", build_requires=["beta"])
        here.build("gamma")
        shutil.rmtree(here.state / "store" / "envs")
        assert here.rebuild("gamma==1.0").built() == ["gamma==1.0+pb.2"]

    def test_records_are_gone(self, here: Bench) -> None:
        here.build("alpha")
        shutil.rmtree(here.state / "store" / "records")
        assert here.build("alpha").cached() == ["alpha==1.0+pb.1"]
        assert here.rebuild("alpha==1.0").built() == ["alpha==1.0+pb.2"]
        here.spec("alpha", '[test]\ncommands = ["true"]\n')
        assert here.build("alpha").code == 0
        here.check_sound()

    def test_a_payload_is_damaged(self, here: Bench) -> None:
        here.build("alpha")
        [payload] = here.state.glob("store/payloads/*/alpha-1.0-py3-none-any.whl")
        payload.chmod(0o644)
        payload.write_bytes(payload.read_bytes()[:100])
        ran = here.pybuild("rebuild", "alpha==1.0")
        assert ran.code in (0, 1, 10), ran.stderr
        here.check_sound()

    def test_the_index_is_gone(self, here: Bench) -> None:
        here.build("alpha")
        shutil.rmtree(here.state / "index")
        ran = here.pybuild("rebuild", "alpha==1.0")
        assert ran.code == 0, ran.stderr
        assert here.published("alpha") == ["1.0+pb.2"]
        here.check_sound()

    def test_locks_and_work_of_long_ago(self, here: Bench) -> None:
        here.build("alpha")
        (here.state / "work" / "20200101T000000.000000Z-aaaaaa" / "build").mkdir(parents=True)
        shutil.rmtree(here.state / "locks")
        here.rebuild("alpha==1.0")
        here.check_sound()


@pytest.mark.parametrize("gone", ["index/host", "index/host/files"])
def test_an_index_that_is_gone_is_published_again(here: Bench, gone: str) -> None:
    """Under another number: who has the old wheel must not meet another of its name."""
    here.accept("delta", requires=["alpha"])
    here.build("delta")
    shutil.rmtree(here.state / gone)
    told = here.pybuild("index", "verify")
    assert told.code == 50 and "files/alpha-1.0+pb.1-py3-none-any.whl: it was published, and is gone" in told.stdout
    ran = here.build("delta")
    assert sorted(ran.built()) == ["alpha==1.0+pb.2", "beta==1.0+pb.2", "delta==1.0+pb.2"]
    assert all(Path(wheel["wheel"]).is_file() for build in ran.json["built"] for wheel in build["wheels"])
    # Pages that are left list what is gone until somebody says otherwise.
    assert here.pybuild("index", "refresh").code == 0
    assert here.pybuild("index", "verify").code == 0
    here.check_sound()
    assert here.build("delta").cached() == ["delta==1.0+pb.2"]


def test_a_wheel_that_was_taken_out_on_purpose(here: Bench) -> None:
    """Whoever renews the pages says so; one that was put back and goes again is told of again."""
    here.build("alpha")
    files, aside = here.state / "index/host/files", here.root / "aside"
    aside.mkdir()

    def wrong() -> list[str]:
        return [line for line in here.pybuild("index", "verify").stdout.splitlines() if "alpha-1.0+pb.1" in line]

    # What lies beside a wheel goes with it.
    for file in sorted(files.glob("alpha-1.0+pb.1*")):
        shutil.move(file, aside)
    assert any("if it was taken out on purpose, `pybuild index refresh`" in line for line in wrong())
    assert here.pybuild("index", "refresh").code == 0
    assert here.pybuild("index", "verify").code == 0
    for file in sorted(aside.iterdir()):
        shutil.move(file, files)
    assert here.pybuild("index", "refresh").code == 0
    assert here.pybuild("index", "verify").code == 0
    (files / "alpha-1.0+pb.1-py3-none-any.whl").unlink()
    assert any("it was published, and is gone" in line for line in wrong())
    assert here.pybuild("index", "refresh").code == 0
    # Its number is not given again.
    assert here.build("alpha").built() == ["alpha==1.0+pb.2"]
    here.check_sound()
