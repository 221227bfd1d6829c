"""What gc keeps and what it removes, over states that were written down without building anything."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuilder.errors import LockedError
from pybuilder.files import file_lock
from pybuilder.gc.facts import keep, kept, let_go
from pybuilder.layout import Layout
from pybuilder.review_queue import UPDATE
from pybuilder.store import Store
from pybuilder.usage import at_work
from tests.support.stores import LONG_AGO, Ledger, digest, ledger


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Ledger]:
    with ledger(tmp_path / "state") as state:
        yield Ledger(layout=Layout(root=tmp_path / "state"), state=state)


class TestWhatIsNeeded:
    def test_what_is_published_and_what_that_is_made_from(self, here: Ledger) -> None:
        here.attempt("flit", payload="flit.whl", rpms=["glibc"])
        here.attempt("alpha", payload="alpha.whl", needs=["flit.whl"], rpms=["gcc", "glibc"], published=True)
        for _ in range(3):
            here.attempt("flit", source="flit-2.tar", payload="flit-2.whl", rpms=["rustc"])
            here.attempt("alpha", source="alpha-2.tar", payload="alpha-2.whl", rpms=["clang"])
        here.collect(keep=1)
        assert here.has("payloads", "alpha.whl", "flit.whl") and here.has("sources", "alpha.tar", "flit.tar")
        assert here.has("rpms", "gcc", "glibc")

    def test_what_is_about_to_be_published(self, here: Ledger) -> None:
        begun = here.attempt("alpha", payload="alpha.whl")
        here.publish(begun, digest(f"key {begun}"), "alpha", "alpha.whl", finish=False)
        here.attempt("alpha", source="other.tar", payload="other.whl")
        here.collect(keep=1)
        assert here.has("payloads", "alpha.whl") and here.has("sources", "alpha.tar")

    def test_what_an_index_has_though_the_database_has_not(self, here: Ledger) -> None:
        here.attempt("alpha", payload="alpha.whl")
        here.attempt("alpha", source="other.tar", payload="other.whl")
        (here.layout.index("host") / "records" / digest("alpha.whl")).mkdir(parents=True)
        here.collect(keep=1)
        assert here.has("payloads", "alpha.whl") and here.has("sources", "alpha.tar")

    def test_a_record_that_only_the_index_has(self, here: Ledger) -> None:
        made = here.attempt("alpha", payload="alpha.whl", needs=["flit.whl"], published=True)
        published = here.layout.index("host") / "records" / digest("alpha.whl") / made
        published.parent.mkdir(parents=True)
        here.layout.record(digest(f"key {made}"), made).rename(published)
        assert here.collect().unread == ()
        assert here.has("sources", "alpha.tar") and here.has("payloads", "flit.whl")

    def test_a_record_that_nobody_has_is_told(self, here: Ledger) -> None:
        made = here.attempt("alpha", payload="alpha.whl", published=True)
        shutil.rmtree(here.layout.record(digest(f"key {made}"), made))
        here.put("sources", "other.tar")
        for max_size in (None, 0):
            report = here.collect(max_size=max_size)
            assert report.unread == (str(here.layout.record(digest(f"key {made}"), made)),)
            # Nobody knows any more what it was made from: it may be any of them.
            assert here.has("payloads", "alpha.whl") and here.has("sources", "alpha.tar")
            assert here.has("sources", "other.tar")

    def test_the_last_attempts(self, here: Ledger) -> None:
        for number in range(4):
            here.attempt("alpha", source=f"{number}.tar", payload=f"{number}.whl", rpms=[f"gcc-{number}"])
        here.collect(keep=2)
        assert [here.has("payloads", f"{number}.whl") for number in range(4)] == [False, False, True, True]
        assert [here.has("sources", f"{number}.tar") for number in range(4)] == [False, False, True, True]
        assert [here.has("rpms", f"gcc-{number}") for number in range(4)] == [False, False, True, True]

    def test_records_and_logs_of_everything(self, here: Ledger) -> None:
        made = [here.attempt("alpha", source=f"{number}.tar", payload=f"{number}.whl") for number in range(4)]
        here.collect(keep=1, max_size=1)
        for each in made:
            record = here.layout.record(digest(f"key {each}"), each)
            assert sorted(path.name for path in record.iterdir()) == ["build.log", "plan.json", "record.json"]

    def test_what_the_workspace_locks_and_pins(self, here: Ledger) -> None:
        for kind in ("sources", "rpms"):
            here.put(kind, "wanted"), here.put(kind, "other")
        for repomd in ("wanted", "other"):
            file = here.layout.repodata(digest(repomd))
            file.parent.mkdir(exist_ok=True)
            file.touch()
            os.utime(file, LONG_AGO)
        here.collect(pins=["wanted"], locked=["wanted"], repomds=["wanted"])
        for kind in ("sources", "rpms"):
            assert here.has(kind, "wanted") and not here.has(kind, "other")
        assert [path.stem for path in here.layout.kind("repodata").iterdir()] == [digest("wanted")]

    def test_the_source_of_what_waits_for_a_person(self, here: Ledger) -> None:
        wanted = [("alpha", "alpha==2.0", UPDATE), ("beta", "beta==1.0", "the screening of its source: odd")]
        wanted += [
            ("gamma", "gamma>=1", "alpha 2.0"),
            ("delta", "delta==1.0", UPDATE),
            ("from-git", "from-git==1.0", UPDATE),
        ]
        here.state.ask_review(wanted, now="2026-11-26T06:00:00Z")
        for name, version in (("alpha", "2.0"), ("beta", "1.0"), ("other", "1.0")):
            here.put("sources", name)
            here.state.add_pin(
                name, version, {"file": f"{name}.tar.gz", "sha256": digest(name)}, now="2026-11-26T06:00:00Z"
            )
        here.state.add_pin("from-git", "1.0", {"commit": "c0ffee"}, now="2026-11-26T06:00:00Z")
        here.collect()
        assert here.has("sources", "alpha", "beta") and not here.has("sources", "other")
        here.state.settle_review([("alpha", "alpha==2.0", UPDATE)])
        here.collect()
        assert here.has("sources", "beta") and not here.has("sources", "alpha")

    def test_roots_of_the_locks(self, here: Ledger) -> None:
        current, old, mixed = here.root(["a", "b"]), here.root(["a", "old"]), here.root(["old"])
        report = here.collect(locked=["a", "b", "c"])
        assert current.is_dir() and not old.exists() and not mixed.exists()
        assert report.count["roots"] == 2

    def test_a_root_that_is_in_use(self, here: Ledger) -> None:
        old = here.root(["old"])
        with file_lock(here.layout.lock(f"root-{old.name}-use"), shared=True):
            assert "roots" not in here.collect().count
        assert old.is_dir()

    def test_what_somebody_told_us_to_keep(self, here: Ledger) -> None:
        first = here.attempt("alpha", payload="1.whl", source="1.tar", needs=["flit.whl"])
        here.attempt("alpha", payload="2.whl", source="2.tar")
        keep(here.layout, first)
        assert kept(here.layout) == (first,)
        here.collect(keep=1, max_size=1)
        assert here.has("payloads", "1.whl", "flit.whl") and here.has("sources", "1.tar")
        let_go(here.layout, first)
        here.collect(keep=1)
        assert not here.has("payloads", "1.whl") and not here.has("sources", "1.tar")


class TestBesideOthers:
    def test_what_a_run_at_work_has_found(self, here: Ledger) -> None:
        """Whatever it is needed for: nobody has written that down yet."""
        store = Store(here.layout)
        for word in ("found", "overlooked"):
            here.put("payloads", word), here.put("sources", word)
        with at_work(here.layout):
            assert store.payload(digest("found")) and store.source(digest("found"))
            made = here.layout.root / "made"
            made.touch()
            os.utime(made, LONG_AGO)
            store.add_source(made, sha256=digest("made"), name="made.tar")
            here.collect(max_size=1)
            assert here.has("payloads", "found") and here.has("sources", "found", "made")
            assert not here.has("payloads", "overlooked") and not here.has("sources", "overlooked")
        here.collect()
        assert not here.has("payloads", "found")

    def test_what_a_run_at_work_makes(self, here: Ledger) -> None:
        with at_work(here.layout):
            names = [".x.abc.tmp", digest("fresh")]
            for name in names:
                (here.layout.kind("payloads") / name).mkdir(parents=True)
            half = here.layout.downloads / f"{digest('half')}.rpm"
            half.parent.mkdir()
            half.touch()
            here.collect()
            assert here.left("payloads") == 2 and half.exists()
        here.collect()
        assert here.left("payloads") == 0 and not half.exists()

    def test_one_gc_at_a_time(self, here: Ledger) -> None:
        with file_lock(here.layout.lock("gc")), pytest.raises(LockedError, match="another gc"):
            here.collect()


class TestWhatRunsLeave:
    def test_it_is_cleared(self, here: Ledger) -> None:
        payload = here.put("payloads", "alpha.whl")
        here.attempt("alpha", payload="alpha.whl", published=True)
        left = [
            here.layout.root / ".owner.json.x.tmp",
            here.layout.kind("envs") / f".{digest('e')}.x.tmp" / "lib",
            payload / ".tree-1.x.tmp" / "lib",
            here.layout.kind("sources") / f".{digest('s')[:24]}.gc.tmp" / "file",
            here.layout.roots / f".{digest('r')}.x.tmp" / "tree",
            here.layout.downloads / digest("half"),
            here.layout.damaged / f"sources-{digest('d')}-1" / "file",
            here.layout.root_log(digest("r")),
            here.layout.work("x.new-999999999"),
            here.layout.work("stray"),
        ]
        for path in left:
            path.mkdir(parents=True)
        for path in (*left, *(path.parent for path in left)):
            os.utime(path, LONG_AGO)
        told = here.collect(dry_run=True)
        assert all(path.exists() for path in left)
        report = here.collect()
        assert not [path for path in left if path.exists()]
        assert {kind: count for kind, count in report.count.items() if kind != "locks"} == {
            "unfinished": 5,
            "downloads": 1,
            "damaged": 1,
            "logs of roots that failed": 1,
            "work": 2,
        }
        assert {**told.count, "locks": 0} == {**report.count, "locks": 0}

    def test_locks_that_nobody_holds(self, here: Ledger) -> None:
        here.layout.lock("free").parent.mkdir(exist_ok=True)
        here.layout.lock("free").touch()
        with file_lock(here.layout.lock("held")):
            here.collect()
            assert here.layout.lock("held").exists() and not here.layout.lock("free").exists()

    def test_what_people_put_there_is_theirs(self, here: Ledger) -> None:
        """Also where they took a directory of their own for a state."""
        names = (
            "store/sources/README",
            "downloads/holiday.jpg",
            ".draft.tmp",
            "plans/next.txt",
            "runs/1/loss.csv",
            "runs/best",
            "locks/key",
        )
        mine = [here.layout.root / name for name in names]
        for path in mine:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            os.utime(path, LONG_AGO)
        here.collect(max_size=1)
        assert all(path.exists() for path in mine)


class TestDryRun:
    def test_it_tells_what_would_go_and_removes_nothing(self, here: Ledger) -> None:
        here.attempt("alpha", payload="alpha.whl", published=True)
        here.put("payloads", "old.whl", size=40_960), here.put("sources", "old.tar", size=8192)
        here.put("envs", "e", size=0)
        os.link(here.put("payloads", "old.whl") / "file", here.put("envs", "e") / "linked")
        os.utime(here.put("envs", "e"), LONG_AGO)
        here.root(["old"])
        told = here.collect(dry_run=True)
        assert here.has("payloads", "old.whl", "alpha.whl") and here.has("envs", "e")
        assert told.count["payloads"] == told.count["sources"] == told.count["environments"] == told.count["roots"] == 1
        assert told.freed["payloads"] == 40_960, "with the last name, though an environment has another now"
        done = here.collect()
        assert {**done.count, "locks": 0} == {**told.count, "locks": 0}
        assert done.freed == told.freed


class TestSize:
    @pytest.fixture
    def full(self, here: Ledger) -> Ledger:
        """Published, and the last attempts of others; used one after the other."""
        here.attempt("alpha", payload="alpha.whl", published=True)
        for age, name in enumerate(("new", "middle", "old")):
            here.attempt(name, payload=f"{name}.whl")
            for kind, word in (("payloads", f"{name}.whl"), ("sources", f"{name}.tar")):
                (here.put(kind, word) / "more").write_bytes(b"x" * 1_000_000)
                os.utime(here.put(kind, word), (10**9 - age, 10**9 - age))
        return here

    def test_what_fits_stays(self, full: Ledger) -> None:
        report = full.collect(max_size=10**9)
        assert report.size is not None and 6_000_000 < report.size < 7_000_000
        assert full.has("payloads", "alpha.whl", "new.whl", "middle.whl", "old.whl")

    def test_what_was_used_longest_ago_goes_first(self, full: Ledger) -> None:
        full.collect(max_size=10**9)
        report = full.collect(max_size=4_500_000)
        assert report.size is not None and report.size <= 4_500_000
        assert not full.has("payloads", "old.whl") and not full.has("sources", "old.tar")
        assert full.has("payloads", "middle.whl", "new.whl") and full.has("sources", "middle.tar", "new.tar")

    def test_instead_of_what_turns_out_to_be_in_use_the_next_goes(self, full: Ledger) -> None:
        root = full.root(["locked"])
        (root / "tree" / "file").write_bytes(b"x" * 1_000_000)
        os.utime(root / "root.json", (10**8, 10**8))
        with file_lock(full.layout.lock(f"root-{root.name}-use"), shared=True):
            report = full.collect(locked=["locked"], max_size=6_500_000)
        assert report.size is not None and 5_000_000 < report.size <= 6_500_000
        assert root.is_dir() and sum(report.count[kind] for kind in ("payloads", "sources")) == 1

    def test_what_is_published_stays_however_small_it_should_be(self, full: Ledger) -> None:
        report = full.collect(max_size=1)
        assert full.has("payloads", "alpha.whl") and full.has("sources", "alpha.tar")
        assert not full.has("payloads", "new.whl") and not full.has("sources", "new.tar")
        assert report.size is not None and 1 < report.size < 1_000_000

    def test_it_is_told_the_same_before(self, full: Ledger) -> None:
        told = full.collect(max_size=3_000_000, dry_run=True)
        assert full.has("payloads", "old.whl")
        done = full.collect(max_size=3_000_000)
        assert (told.freed, told.size) == (done.freed, done.size)
        assert {**told.count, "locks": 0} == {**done.count, "locks": 0}

    def test_trees_roots_and_caches_can_be_made_again(self, full: Ledger) -> None:
        tree = full.put("payloads", "alpha.whl") / "tree-1-py3.11"
        tree.mkdir()
        (tree / "module.py").write_bytes(b"x" * 100_000)
        full.layout.uv_cache.mkdir()
        root = full.root(["locked"])
        for path in (tree.parent, full.layout.uv_cache):
            os.utime(path, LONG_AGO)
        full.collect(locked=["locked"])
        assert tree.is_dir() and root.is_dir() and full.layout.uv_cache.is_dir()
        report = full.collect(locked=["locked"], max_size=1)
        assert report.count["trees"] == report.count["roots"] == report.count["uv-cache"] == 1
        assert full.has("payloads", "alpha.whl") and not tree.exists() and not root.exists()


def test_a_database_that_was_lost_is_read_back_first(here: Ledger) -> None:
    """Or everything would seem to be garbage."""
    made = here.attempt("alpha", payload="alpha.whl")
    record = here.layout.record(digest(f"key {made}"), made) / "record.json"
    account = json.loads(record.read_bytes())
    account |= {"key": digest(f"key {made}"), "recipe": "r", "version": "1.0", "channel": "host", "target": "t"}
    account |= {"engine": "host", "started": "2026-01-01", "seconds": 1.0, "seal": {}, "tainted": []}
    record.write_text(json.dumps(account))
    here.state.add_fact("recovered", "", False)
    here.state._write("DELETE FROM attempts", {})
    here.collect()
    assert here.has("payloads", "alpha.whl") and here.has("sources", "alpha.tar")
