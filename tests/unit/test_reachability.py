from __future__ import annotations

from pybuilder.reachability import Inputs, Needed, Tried, needed, newest


def tried(id: str, name: str = "alpha", *, payload: str = "", channel: str = "host", target: str = "cp311") -> Tried:
    return Tried(id=id, key=f"key-{id}", line=(name, channel, target), payload=payload)


class Facts:
    """Attempts, and what each was made from; says which of them were asked for."""

    def __init__(self) -> None:
        self.attempts: dict[str, Tried] = {}
        self.made_from: dict[str, Inputs] = {}
        self.asked: list[str] = []

    def add(self, id: str, name: str, *, payload: str = "", needs: tuple[str, ...] = (), rpms: str = "") -> None:
        self.attempts[id] = tried(id, name, payload=payload)
        rpm_set = frozenset(rpms.split())
        self.made_from[id] = Inputs(source=f"source-{name}", payloads=needs, rpms=rpm_set)

    def inputs(self, attempt: Tried) -> Inputs | None:
        self.asked.append(attempt.id)
        return self.made_from.get(attempt.id)

    def needed(self, *wanted: str, payloads: tuple[str, ...] = ()) -> Needed:
        return needed(self.attempts, self.inputs, wanted=wanted, payloads=payloads)


def sets(found: Needed) -> tuple[list[str], list[str], list[str]]:
    return sorted(found.sources), sorted(found.payloads), sorted(found.rpms)


def test_nothing_is_wanted() -> None:
    facts = Facts()
    facts.add("1", "alpha", payload="a")
    assert facts.needed() == Needed()
    assert facts.asked == []


def test_what_an_attempt_made_and_was_made_from() -> None:
    facts = Facts()
    facts.add("1", "alpha", payload="a", rpms="gcc glibc")
    facts.add("2", "other", payload="o", rpms="rustc")
    assert sets(facts.needed("1")) == (["source-alpha"], ["a"], ["gcc", "glibc"])


def test_down_to_the_seeds() -> None:
    """What is in a build environment was made from something as well, and so on."""
    facts = Facts()
    facts.add("1", "flit", payload="f", rpms="base")
    facts.add("2", "setuptools", payload="s", needs=("f",), rpms="base gcc")
    facts.add("3", "alpha", payload="a", needs=("s",))
    facts.add("4", "unused", payload="u", needs=("s",), rpms="rustc")
    found = facts.needed("3")
    assert sets(found) == (["source-alpha", "source-flit", "source-setuptools"], ["a", "f", "s"], ["base", "gcc"])
    assert "4" not in facts.asked


def test_a_payload_alone_leads_to_the_newest_that_made_it() -> None:
    facts = Facts()
    facts.add("1", "alpha", payload="a", needs=("old",))
    facts.add("2", "alpha", payload="a", needs=("new",))
    assert sets(facts.needed(payloads=("a", "unknown"))) == (["source-alpha"], ["a", "new", "unknown"], [])
    assert facts.asked == ["2"]


def test_what_a_published_attempt_names_stays_though_a_newer_one_made_the_same() -> None:
    facts = Facts()
    facts.add("1", "alpha", payload="a", needs=("old",))
    facts.add("2", "alpha", payload="a", needs=("new",))
    assert facts.needed("1").payloads == {"a", "old", "new"}


def test_packages_that_built_each_other_end() -> None:
    facts = Facts()
    facts.add("1", "setuptools", payload="s", needs=("w",))
    facts.add("2", "wheel", payload="w", needs=("s",))
    assert facts.needed("2").payloads == {"s", "w"}


def test_an_attempt_that_failed_keeps_what_it_was_to_be_made_from() -> None:
    facts = Facts()
    facts.add("1", "alpha", needs=("s",))
    assert sets(facts.needed("1")) == (["source-alpha"], ["s"], [])


def test_a_record_that_is_gone_and_one_that_nobody_knows() -> None:
    facts = Facts()
    facts.add("1", "alpha", payload="a")
    del facts.made_from["1"]
    assert sets(facts.needed("1", "unheard-of")) == ([], ["a"], [])


def test_sums() -> None:
    one = Needed(sources=frozenset("a"), rpms=frozenset("x"))
    other = Needed(sources=frozenset("b"), payloads=frozenset("p"))
    assert one | other == Needed(sources=frozenset("ab"), payloads=frozenset("p"), rpms=frozenset("x"))


class TestNewest:
    def test_of_each_package_channel_and_target(self) -> None:
        attempts = [tried(str(number)) for number in range(5)]
        attempts += [tried("7", "beta"), tried("8", channel="fedora-45"), tried("9", target="cp312")]
        assert newest(attempts, 2) == {"3", "4", "7", "8", "9"}

    def test_by_time_in_whatever_order_they_come(self) -> None:
        assert newest([tried("2"), tried("3"), tried("1")], 1) == {"3"}

    def test_fewer_than_that(self) -> None:
        assert newest([tried("1")], 3) == {"1"}
