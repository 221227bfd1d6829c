from __future__ import annotations

import errno
import json
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pybuilder.errors import ConfigError, StateError
from pybuilder.layout import Layout
from pybuilder.state import Attempt, PublishedWheel, State, database
from pybuilder.state.schema import SCHEMA_VERSION
from tests.support.stores import statements

ATTEMPT = Attempt(
    id="20261121T061500.000000Z-aaaaaa",
    key="k1",
    recipe="r1",
    name="six",
    version="1.17.0",
    channel="host",
    target="cp311-linux_x86_64",
    engine="host",
    state="running",
    owner="1:1",
    started="2026-11-21T06:15:00.000000Z",
)
WHEEL = PublishedWheel(
    label="pb",
    name="six",
    version="1.17.0",
    number=1,
    target="cp311-linux_x86_64",
    channel="host",
    wheel="six-1.17.0+pb.1-py3-none-any.whl",
    wheel_sha256="w1",
    payload="p1",
    key="k1",
    recipe="r1",
    attempt=ATTEMPT.id,
    published="2026-11-21T06:16:00.000000Z",
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(root=tmp_path / "state")


@pytest.fixture
def state(layout: Layout) -> Iterator[State]:
    opened = State.open(layout)
    yield opened
    opened.close()


class TestOpening:
    def test_both_see_the_same(self, layout: Layout, state: State) -> None:
        other = State.open(layout)
        state.add_fact("kind", "key", {"a": [1]})
        assert other.fact("kind", "key") == {"a": [1]}
        other.close()

    @pytest.mark.parametrize("content", [b"no database" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
    def test_damaged(self, layout: Layout, content: bytes) -> None:
        layout.root.mkdir(parents=True)
        layout.database.write_bytes(content)
        with pytest.raises(StateError, match="database") as caught:
            State.open(layout)
        assert caught.value.where == str(layout.database)
        assert "move state.db away" in caught.value.cure
        assert layout.database.read_bytes() == content, "what is damaged is not made worse"

    def test_damaged_later(self, layout: Layout, state: State) -> None:
        state.begin_attempt(ATTEMPT)
        state.close()
        with layout.database.open("r+b") as stream:
            stream.seek(4096)
            stream.write(b"\xff" * 65536)
        opened = State.open(layout)
        with pytest.raises(StateError, match="malformed"):
            opened.attempt(ATTEMPT.id)
        opened.close()

    def test_of_a_newer_pybuild(self, layout: Layout, state: State) -> None:
        connection = sqlite3.connect(layout.database)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        connection.close()
        with pytest.raises(StateError, match=f"version {SCHEMA_VERSION + 1}"):
            State.open(layout)

    @pytest.mark.parametrize(("number", "says"), [(errno.EACCES, "permission"), (errno.EROFS, "read-only")])
    def test_in_a_directory_we_may_not_write(
        self, layout: Layout, monkeypatch: pytest.MonkeyPatch, number: int, says: str
    ) -> None:
        def refuse(path: Path, data: bytes) -> None:
            raise OSError(number, "refused", str(path))

        monkeypatch.setattr(database, "write_atomic", refuse)
        with pytest.raises(StateError, match=says) as caught:
            State.open(layout)
        assert caught.value.where == str(layout.owner)

    def test_a_file_in_the_way(self, layout: Layout) -> None:
        layout.root.mkdir(parents=True)
        layout.database.mkdir()
        with pytest.raises(StateError, match="unable to open"):
            State.open(layout)

    def test_several_who_make_it_at_once(self, tmp_path: Path) -> None:
        """SQLite gives whoever changes the journal's mode beside another no turn to wait for."""
        start = threading.Barrier(6)

        def opened(layout: Layout) -> str:
            start.wait(10)
            with closing(State.open(layout)) as state:
                return str(state._row("PRAGMA journal_mode"))

        with ThreadPoolExecutor(6) as pool:
            for n in range(100):
                assert set(pool.map(opened, [Layout(root=tmp_path / str(n))] * 6)) == {"{'journal_mode': 'wal'}"}

    def test_alone(self, tmp_path: Path) -> None:
        """No file of shared memory, for which a full disk has no room; what others wrote is there all the same."""
        layout = Layout(root=tmp_path)
        with closing(State.open(layout)) as state:
            state.begin_attempt(ATTEMPT)
        with closing(State.open(layout, alone=True)) as state:
            assert state.running() == [ATTEMPT]
            assert not list(tmp_path.glob("state.db-shm"))
            state.end_attempt(ATTEMPT.id, seconds=1.0, sealed=True, failure=("build", "no"))
        with closing(State.open(layout)) as state:
            assert state.running() == []


class TestOwner:
    @pytest.mark.parametrize("change", [{"uid": 12345}, {"uid_map": ["0", "100000", "65536"]}])
    def test_of_somebody_else(self, layout: Layout, state: State, change: dict[str, object]) -> None:
        layout.owner.write_text(json.dumps({**json.loads(layout.owner.read_text()), **change}))
        with pytest.raises(ConfigError) as caught:
            State.open(layout)
        assert caught.value.exit_code == 3
        assert caught.value.where == str(layout.root)
        assert "--state" in caught.value.cure

    @pytest.mark.parametrize("text", ["", "{", "[]", "3", "\xff"])
    def test_a_damaged_note(self, layout: Layout, state: State, text: str) -> None:
        layout.owner.write_text(text, encoding="latin-1")
        with pytest.raises(StateError, match="owns the state is damaged") as caught:
            State.open(layout)
        assert caught.value.where == str(layout.owner)


class TestTransactions:
    def test_all_or_nothing(self, state: State) -> None:
        with pytest.raises(KeyboardInterrupt), state.transaction():
            state.add_fact("kind", "a", 1)
            raise KeyboardInterrupt
        assert state.fact("kind", "a") is None
        with state.transaction():
            state.add_fact("kind", "a", 1)
        assert state.fact("kind", "a") == 1

    def test_many_facts_at_once(self, state: State) -> None:
        state.add_facts("kind", {"a": 1, "b": [2]})
        state.add_fact("other", "c", 3)
        assert state.facts_of("kind", ["b", "a", "c"]) == {"a": 1, "b": [2]}
        with pytest.raises(TypeError):
            state.add_facts("kind", {"a": 4, "b": {1}})
        assert state.facts_of("kind", iter("ab")) == {"a": 1, "b": [2]}

    def test_a_fault_of_ours_is_not_called_damage(self, state: State) -> None:
        state.begin_attempt(ATTEMPT)
        with pytest.raises(sqlite3.IntegrityError):
            state.begin_attempt(ATTEMPT)

    def test_a_full_disk(self, state: State) -> None:
        with pytest.raises(StateError, match="full") as caught, state.transaction() as connection:
            connection.execute("PRAGMA max_page_count = 20")
            for n in range(1000):
                state.add_fact("kind", str(n), "x" * 1000)
        assert "free some space" in caught.value.cure
        assert state.fact("kind", "0") is None
        state.add_fact("kind", "0", 1)


class TestThreads:
    """One object, many threads."""

    def test_numbers_are_unique(self, state: State) -> None:
        def mint(_: int) -> int:
            return state.mint("pb", "six", "1.17.0", channel="host", floor=0, now="t")

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(mint, range(40))) == list(range(1, 41))

    def test_facts_are_seen_by_all(self, state: State) -> None:
        together = threading.Barrier(8)

        def tell(n: int) -> list[int]:
            together.wait()
            state.add_fact("kind", str(n), n)
            together.wait()
            return [state.fact("kind", str(other)) for other in range(8)]

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(tell, range(8))) == [list(range(8))] * 8

    def test_a_transaction_is_its_threads_own(self, state: State) -> None:
        """What another reads meanwhile is what was there before; what it writes is not undone with it."""
        with ThreadPoolExecutor(1) as pool:
            with pytest.raises(KeyboardInterrupt), state.transaction():
                state.add_fact("kind", "mine", 1)
                assert pool.submit(state.fact, "kind", "mine").result() is None
                later = pool.submit(state.add_fact, "kind", "theirs", 2)
                raise KeyboardInterrupt
            later.result()
        assert (state.fact("kind", "mine"), state.fact("kind", "theirs")) == (None, 2)

    def test_threads_one_after_the_other_share_a_connection(self, state: State) -> None:
        for _ in range(5):
            thread = threading.Thread(target=state.fact, args=("kind", "key"))
            thread.start()
            thread.join()
        assert len(state._idle) == 1

    def test_connections_are_closed(self, state: State) -> None:
        """One in use as soon as it is not used any more: whoever closes may not know of a thread."""
        state.fact("kind", "key")
        [idle] = state._idle
        with state._connection(), state._connection() as used:
            assert used is not idle
            state.close()
            assert used.execute("SELECT 1").fetchone()[0] == 1
        for connection in (idle, used):
            with pytest.raises(sqlite3.ProgrammingError, match="closed"):
                connection.execute("SELECT 1")

    def test_an_interrupted_statement_holds_nothing_back(self, state: State) -> None:
        """What it had begun to read is not what the next one sees."""
        for n in range(3):
            state.add_fact("kind", str(n), n)
        with pytest.raises(KeyboardInterrupt), state._connection() as connection:
            reading = connection.execute("SELECT * FROM facts")
            reading.fetchone()
            raise KeyboardInterrupt
        state.add_fact("kind", "0", "new")
        assert state.fact("kind", "0") == "new"
        assert connection not in state._idle


class TestMemory:
    def test_the_first_sight_stays(self, state: State) -> None:
        assert state.pin("six", "1.17.0") is None
        state.add_pin("six", "1.17.0", {"file": "a", "sha256": "1"}, now="t1")
        state.add_pin("six", "1.17.0", {"file": "a", "sha256": "2"}, now="t2")
        assert state.pin("six", "1.17.0") == {"file": "a", "sha256": "1"}
        assert state.pin("six", "1.18.0") is None

    def test_a_fact_may_change(self, state: State) -> None:
        for value in ([1], None, "x"):
            state.add_fact("kind", "key", value)
            assert state.fact("kind", "key") == value
        assert state.fact("other", "key") is None

    def test_first_sights_stay(self, state: State) -> None:
        assert state.first_sights("six", ["1", "2"], now="t1") == {"1": "t1", "2": "t1"}
        assert state.first_sights("six", ["2", "3"], now="t2") == {"1": "t1", "2": "t1", "3": "t2"}
        assert state.first_sights("idna", ["1"], now="t3") == {"1": "t3"}

    def test_a_first_sight_in_the_future_was_by_a_wrong_clock(self, state: State) -> None:
        state.first_sights("six", ["1", "2"], now="t5")
        assert state.first_sights("six", ["1"], now="t2") == {"1": "t2", "2": "t5"}
        assert state.first_sights("six", ["1", "2"], now="t6") == {"1": "t2", "2": "t5"}

    def test_two_first_sights_at_once_are_one(self, state: State, layout: Layout) -> None:
        """Whoever writes second keeps what the first wrote."""
        start = threading.Barrier(4)

        def look(n: int) -> None:
            with closing(State.open(layout)) as own:
                start.wait()
                own.first_sights("six", ["0", str(n)], now=f"t{n}")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(look, range(1, 5)))
        sights = state.first_sights("six", [], now="t9")
        assert {n: sights[n] for n in sights if n != "0"} == {str(n): f"t{n}" for n in range(1, 5)}
        assert sights["0"] in {f"t{n}" for n in range(1, 5)}

    def test_validations(self, state: State) -> None:
        assert state.validation("k") is None
        state.add_validation("k", ok=False, error="no", now="t1")
        assert state.validation("k") == (False, "no")
        state.add_validation("k", ok=True, error="", now="t2")
        assert state.validation("k") == (True, "")

    def test_review(self, state: State) -> None:
        state.ask_review([("wheel", "wheel>=1", "six")], now="t1")
        state.ask_review([("wheel", "wheel>=1", "six"), ("attrs", "attrs", "six")], now="t2")
        assert [(row["name"], row["first_seen"]) for row in state.review()] == [("wheel", "t1"), ("attrs", "t2")]
        state.settle_review([("wheel", "wheel>=1", "six"), ("nothing", "nothing", "six")])
        assert [row["name"] for row in state.review()] == ["attrs"]
        state.ask_review([("attrs", "attrs>=2", "six")], now="t3")
        state.settle_review([("attrs", "attrs", "six"), ("attrs", "attrs>=2", "seven")])
        assert [row["requirement"] for row in state.review()] == ["attrs>=2"]


class TestAttempts:
    def test_from_its_first_moment(self, state: State) -> None:
        state.begin_attempt(ATTEMPT)
        assert state.attempt(ATTEMPT.id) == ATTEMPT
        assert state.running() == [ATTEMPT]
        assert state.succeeded("k1") is None

    def test_success(self, state: State) -> None:
        state.begin_attempt(ATTEMPT)
        state.end_attempt(ATTEMPT.id, seconds=1.5, sealed=True, payload=("p1", "six.whl"))
        ended = replace(ATTEMPT, state="succeeded", seconds=1.5, sealed=True, payload="p1", filename="six.whl")
        assert state.attempt(ATTEMPT.id) == state.succeeded("k1") == ended
        assert state.running() == []

    def test_failure(self, state: State) -> None:
        state.begin_attempt(ATTEMPT)
        state.end_attempt(ATTEMPT.id, seconds=1.5, sealed=False, failure=("build", "no"))
        ended = replace(ATTEMPT, state="failed", seconds=1.5, phase="build", error="no")
        assert state.attempt(ATTEMPT.id) == ended
        assert state.succeeded("k1") is None

    def test_how_many_of_a_channel_came_to_what(self, state: State) -> None:
        assert state.outcomes("host") == {}
        for number, (kind, channel) in enumerate(
            [("failed", "host"), ("failed", "host"), ("succeeded", "host"), ("running", "host"), ("failed", "other")]
        ):
            state.restore_attempt(replace(ATTEMPT, id=str(number), state=kind, channel=channel))
        assert state.outcomes("host") == {"failed": 2, "succeeded": 1}

    def test_who_made_a_payload_and_what_has_failed_since(self, state: State) -> None:
        rows = [
            replace(ATTEMPT, id="1", state="failed"),
            replace(ATTEMPT, id="2", state="succeeded", payload="p1"),
            replace(ATTEMPT, id="3", state="succeeded", payload="p1", key="k2"),
            replace(ATTEMPT, id="4", state="failed"),
            replace(ATTEMPT, id="5", state="running"),
            replace(ATTEMPT, id="6", state="succeeded", payload="p2", version="1.18.0"),
            replace(ATTEMPT, id="7", state="succeeded", payload="p3", channel="fedora-45"),
            replace(ATTEMPT, id="8", state="failed", name="seven"),
        ]
        for row in rows:
            state.restore_attempt(row)
        assert [row.id for row in state.makers(["p1", "p3"])] == ["7", "3", "2"]
        assert [row.id for row in state.failing("host")] == ["8", "4"]
        assert state.failing("fedora-45") == []

    def test_the_newest_success_counts(self, state: State) -> None:
        for n, payload in enumerate(("p0", "p1", None)):
            state.begin_attempt(replace(ATTEMPT, id=f"2026112{n}"))
            outcome = {"payload": (payload, "six.whl")} if payload else {"failure": ("build", "no")}
            state.end_attempt(f"2026112{n}", seconds=1, sealed=True, **outcome)
        found = state.succeeded("k1")
        assert found is not None
        assert found.payload == "p1"

    def test_moved_to_another_key(self, state: State) -> None:
        state.begin_attempt(ATTEMPT)
        state.move_attempt(ATTEMPT.id, key="k2")
        assert state.running() == [replace(ATTEMPT, key="k2")]

    def test_restored_from_its_record(self, state: State) -> None:
        ended = replace(ATTEMPT, state="failed", seconds=2.0, sealed=True, phase="build", error="no")
        state.restore_attempt(ended)
        state.restore_attempt(replace(ended, error="another"))
        assert state.attempt(ATTEMPT.id) == ended

    def test_of_a_package(self, state: State) -> None:
        for n, version in enumerate(("1.0", "2.0", "1.0")):
            state.begin_attempt(replace(ATTEMPT, id=str(n), version=version))
        state.begin_attempt(replace(ATTEMPT, id="9", name="seven"))
        assert [a.id for a in state.attempts("six")] == ["2", "1", "0"]
        assert [a.id for a in state.attempts("six", "1.0")] == ["2", "0"]
        assert state.attempt("nothing") is None


class TestNumbers:
    def mint(
        self, state: State, *, label: str = "pb", version: str = "1.17.0", channel: str = "host", floor: int = 0
    ) -> int:
        return state.mint(label, "six", version, channel=channel, floor=floor, now="t")

    def test_from_one_and_never_twice(self, state: State) -> None:
        assert [self.mint(state) for _ in range(3)] == [1, 2, 3]

    def test_over_all_channels(self, state: State) -> None:
        assert [self.mint(state, channel="host"), self.mint(state, channel="fedora-45")] == [1, 2]

    def test_by_label_and_version(self, state: State) -> None:
        assert self.mint(state) == self.mint(state, version="1.18.0") == self.mint(state, label="xy") == 1

    def test_floors(self, state: State) -> None:
        assert self.mint(state, floor=7) == 8
        assert self.mint(state, floor=3) == 9
        state.raise_floor("pb", "six", "1.17.0", 20)
        state.raise_floor("pb", "six", "1.17.0", 15)
        assert self.mint(state) == 21

    def test_gaps_stay(self, state: State) -> None:
        self.mint(state)
        state.drop_unfinished("pb", "six", "1.17.0", 1)
        assert self.mint(state) == 2

    def test_concurrent_runs(self, layout: Layout, state: State) -> None:
        other = State.open(layout)
        assert [self.mint(s) for s in (state, other, other, state)] == [1, 2, 3, 4]
        other.close()

    def test_a_channels_label_is_fixed(self, state: State) -> None:
        state.claim_label("host", "pb")
        state.claim_label("host", "pb")
        state.claim_label("fedora-45", "xy")
        with pytest.raises(ConfigError, match="'pb', the workspace says 'xy'") as caught:
            state.claim_label("host", "xy")
        assert caught.value.exit_code == 3


class TestForGc:
    """Of everything that ever was, the few columns that gc asks for."""

    def test_attempts_that_ended(self, state: State) -> None:
        state.begin_attempt(ATTEMPT)
        assert state.ended() == []
        state.end_attempt(ATTEMPT.id, seconds=1.0, sealed=True, payload=("p1", "six.whl"))
        facts = {"key": "k1", "name": "six", "channel": "host", "target": "cp311-linux_x86_64", "payload": "p1"}
        assert state.ended() == [{"id": ATTEMPT.id, **facts}]

    def test_what_is_published_or_about_to_be(self, state: State) -> None:
        state.begin_publish([WHEEL])
        facts = {"key": "k1", "name": "six", "channel": "host", "target": "cp311-linux_x86_64", "payload": "p1"}
        assert state.numbered() == [{"id": ATTEMPT.id, **facts}]
        state.finish_publish("pb", "six", "1.17.0", 1)
        state.begin_publish([replace(WHEEL, number=2)])
        assert state.numbered() == [{"id": ATTEMPT.id, **facts}], "once, however often it is published"


class TestPublishing:
    def finish(self, state: State, wheel: PublishedWheel) -> None:
        state.finish_publish(wheel.label, wheel.name, wheel.version, wheel.number)

    def test_seen_when_it_is_finished(self, state: State) -> None:
        state.begin_publish([WHEEL])
        assert state.published("host", "six") == state.published_anywhere("six") == state.published_in("host") == []
        assert state.unfinished_publishes("host") == [WHEEL]
        self.finish(state, WHEEL)
        assert state.published("host", "six") == state.published_anywhere("six") == [WHEEL]
        assert state.published_in("host") == [WHEEL]
        assert state.published_in("fedora-45") == []
        assert state.unfinished_publishes("host") == []

    def test_finishing_is_for_one_build(self, state: State) -> None:
        others = [replace(WHEEL, number=2), replace(WHEEL, version="2.0"), replace(WHEEL, name="seven")]
        state.begin_publish([WHEEL, *others, replace(WHEEL, label="xy")])
        self.finish(state, WHEEL)
        assert len(state.unfinished_publishes("host")) == 4
        assert state.unfinished_publishes("fedora-45") == []

    def test_the_builds_of_a_channel_are_told_once_whatever_their_targets(self, state: State) -> None:
        second = replace(WHEEL, target="cp312-linux_x86_64", wheel="second.whl")
        wheels = [replace(WHEEL, number=10), replace(WHEEL, number=9), WHEEL, second, replace(WHEEL, name="five")]
        state.begin_publish([*wheels, replace(WHEEL, number=11, channel="other"), replace(WHEEL, number=12)])
        for wheel in (*wheels, replace(WHEEL, number=11)):
            self.finish(state, wheel)
        found = [(row["label"], row["name"], row["version"], row["number"]) for row in state.numbers("host")]
        assert found == [("pb", "five", "1.17.0", 1), *(("pb", "six", "1.17.0", number) for number in (1, 9, 10))]

    def test_dropped(self, state: State) -> None:
        state.begin_publish([WHEEL])
        state.drop_unfinished("pb", "six", "1.17.0", 1)
        assert state.unfinished_publishes("host") == []
        self.finish(state, WHEEL)
        assert state.published("host", "six") == []

    def test_a_target_joins_a_number(self, state: State) -> None:
        second = replace(WHEEL, target="cp312-linux_x86_64", wheel="second.whl")
        state.begin_publish([WHEEL])
        self.finish(state, WHEEL)
        state.begin_publish([second])
        state.drop_unfinished("pb", "six", "1.17.0", 1)
        assert state.published("host", "six") == [WHEEL], "what was published stays"
        state.begin_publish([second])
        self.finish(state, second)
        assert state.published("host", "six") == [WHEEL, second]

    def test_a_second_try_replaces_the_first(self, state: State) -> None:
        again = replace(WHEEL, wheel_sha256="w2", published="2026-11-22T00:00:00.000000Z")
        state.begin_publish([WHEEL])
        state.begin_publish([again])
        assert state.unfinished_publishes("host") == [again]

    def test_what_was_published_never_changes(self, state: State) -> None:
        state.begin_publish([WHEEL])
        self.finish(state, WHEEL)
        with pytest.raises(StateError, match=r"six-1.17.0\+pb.1-py3-none-any.whl has been published already"):
            state.begin_publish([replace(WHEEL, number=2), replace(WHEEL, wheel_sha256="w2")])
        assert state.published("host", "six") == [WHEEL]
        assert state.unfinished_publishes("host") == [], "all or nothing"

    def test_newest_first(self, state: State) -> None:
        wheels = [
            replace(WHEEL, number=n, version=version, published=f"2026-11-{day}")
            for n, version, day in ((1, "1.0", 10), (2, "1.0", 11), (1, "2.0", 10), (10, "1.0", 11))
        ]
        state.begin_publish(wheels)
        for wheel in wheels:
            self.finish(state, wheel)
        found = [(w.version, w.number) for w in state.published("host", "six")]
        assert found == [("1.0", 10), ("1.0", 2), ("1.0", 1), ("2.0", 1)]
        assert [w.number for w in state.published("host", "six", "1.0")] == [10, 2, 1]
        assert state.published("fedora-45", "six") == []


def test_only_what_can_be_found_out_again_does_not_wait_for_the_disk(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = statements(monkeypatch)
    with closing(State.open(layout)) as state:
        said.clear()
        state.add_fact("kind", "key", 1)
        state.add_pin("six", "1.17.0", {"sha256": "0"}, now="now")
        assert [line.partition(" INTO ")[0].partition(" VALUES")[0] for line in said] == [
            "PRAGMA synchronous = NORMAL",
            "INSERT OR REPLACE",
            "PRAGMA synchronous = FULL",
            "INSERT OR IGNORE",
        ]
        with pytest.raises(sqlite3.ProgrammingError), state.transaction():
            state.add_fact("kind", "key", 2)
            raise sqlite3.ProgrammingError
        assert state.fact("kind", "key") == 1
        with state.transaction() as connection:
            state.add_fact("kind", "key", 3)
            assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
        assert state.fact("kind", "key") == 3
