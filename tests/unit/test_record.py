from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pybuilder import __version__
from pybuilder.errors import StateError
from pybuilder.record import RECORD, last_lines, pretty_json, read_record, record_json
from tests.support.plans import plan_with


def account(**changes: Any) -> bytes:
    plan = plan_with(recipe={"name": "six", "version": "1.17.0", "source": "aa"}, source_date_epoch=5)
    facts: dict[str, Any] = {
        "attempt": "20260101T000000.000000Z-abcdef",
        "plan": plan,
        "source": {"file": "six-1.17.0.tar.gz", "sha256": "aa", "origin": "https://localhost/six-1.17.0.tar.gz"},
        "patches": [],
        "channel": "host",
        "buildroot": "host",
        "workspace": {"commit": "", "state": "unversioned"},
        "started": "2026-01-01T00:00:00Z",
        "seconds": 1.23456,
        "phases": {"unpack": 0.00049, "sandbox": 1.0},
        "engine": "host",
        "seal": {"interfaces": ["lo"]},
        "tools": {"bubblewrap": "0.8.0"},
        "log_sha256": "ll",
        "result": {"payload_sha256": "pp", "filename": "six-1.17.0-py3-none-any.whl"},
    }
    return record_json(**facts | changes)


def test_written_and_read_again(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_bytes(account())
    found = read_record(tmp_path)
    assert (found["name"], found["version"], found["target"]) == ("six", "1.17.0", "cp311-linux_x86_64")
    assert found["tools"]["pybuild"] == __version__ and found["tools"]["bubblewrap"] == "0.8.0"
    assert found["phases"] == {"sandbox": 1.0, "unpack": 0.0}
    assert found["seconds"] == 1.235
    assert found["source_date_epoch"] == 5


def test_what_is_not_from_source_is_said(tmp_path: Path) -> None:
    taint = {"name": "six", "version": "1.17.0", "payload_sha256": "pp", "reason": "why"}
    assert [json.loads(account())[key] for key in ("prebuilt", "tainted")] == [None, []]
    (tmp_path / RECORD).write_bytes(account(prebuilt="why", tainted=[taint]))
    found = read_record(tmp_path)
    assert (found["prebuilt"], found["tainted"]) == ("why", [taint])


def test_the_same_account_is_the_same_bytes() -> None:
    assert account(phases={"b": 1.0, "a": 2.0}) == account(phases={"a": 2.0, "b": 1.0})
    assert account().endswith(b"}\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "missing"),
        (b"", "damaged"),
        (b"{", "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"[]", "another format"),
        (b'{"format": 99}', "another format"),
    ],
)
def test_one_that_can_not_be_used(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / RECORD).write_bytes(content)
    with pytest.raises(StateError, match=message) as caught:
        read_record(tmp_path)
    assert caught.value.where == str(tmp_path / RECORD)
    assert caught.value.cure


def test_pretty_json_is_for_people_and_for_diff() -> None:
    assert pretty_json({"b": "ü", "a": [1]}) == '{\n  "a": [\n    1\n  ],\n  "b": "ü"\n}\n'.encode()
    assert json.loads(pretty_json({"b": 1})) == {"b": 1}


class TestLastLines:
    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (b"", []),
            (b"one\n\n  \ntwo\n", ["one", "two"]),
            (b"no newline", ["no newline"]),
            (b"\xff\xfe bytes\n", ["\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} bytes"]),
            (b"a\tb\x1b[31mred\x07\n", ["a\tb\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}"]),
        ],
        ids=["empty", "blank lines", "unfinished", "no UTF-8", "control characters"],
    )
    def test_what_a_terminal_may_see(self, tmp_path: Path, content: bytes, expected: list[str]) -> None:
        log = tmp_path / "build.log"
        log.write_bytes(content)
        assert last_lines(log) == expected

    def test_only_the_last_of_a_large_log(self, tmp_path: Path) -> None:
        log = tmp_path / "build.log"
        log.write_bytes(b"".join(b"line %d\n" % n for n in range(100_000)))
        assert last_lines(log, 2) == ["line 99998", "line 99999"]
