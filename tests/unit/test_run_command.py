"""A run's document is on standard output whatever becomes of the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click
import pytest

from pybuilder.cli.run_command import RunCommand, print_document
from pybuilder.errors import ConfigError, FetchError


def run(act: Callable[[], None], *arguments: str) -> None:
    @click.command(cls=RunCommand)
    @click.option("--jobs", type=int)
    @click.option("--json", "as_json", is_flag=True)
    @click.argument("words", nargs=-1)
    def command(**typed: Any) -> None:
        act()

    command.main(list(arguments), standalone_mode=False)


def ends_with(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def nothing() -> None:
    pass


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_an_error_has_its_place_and_its_cure(capsys: pytest.CaptureFixture[str]) -> None:
    error = FetchError("no such file", where="specs/six.toml", cure="look there")
    error.package = ("six", "1.0")
    with pytest.raises(FetchError):
        run(ends_with(error), "--json")
    told = document(capsys)
    assert told.pop("seconds") >= 0
    assert told == {
        "ok": False,
        "built": [],
        "cached": [],
        "failed": [
            {
                "name": "six",
                "version": "1.0",
                "phase": "fetch",
                "error": "no such file",
                "where": "specs/six.toml",
                "do": "look there",
                "attempt": None,
                "log": None,
            }
        ],
        "review": [],
    }


def test_of_many_problems_each_has_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    parts = [ConfigError("wrong", where=f"r.txt:{line}") for line in (1, 2)]
    with pytest.raises(ConfigError):
        run(ends_with(ConfigError.of(parts, what="the files have 2 problems")), "--json")
    [failure] = document(capsys)["failed"]
    assert [line.strip() for line in failure["where"].splitlines()] == ["r.txt:1: wrong", "r.txt:2: wrong"]


@pytest.mark.parametrize(
    ("error", "phase", "what"),
    [
        (KeyboardInterrupt(), "interrupted", "interrupted"),
        (click.Abort(), "interrupted", "interrupted"),
        (RuntimeError("oh"), "internal", "a fault of pybuild's own: RuntimeError: oh"),
    ],
)
def test_what_ends_a_run_before_its_end(
    error: BaseException, phase: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Of Ctrl-C click makes an Abort.
    with pytest.raises((type(error), click.Abort)):
        run(ends_with(error), "--json")
    [failure] = document(capsys)["failed"]
    assert (failure["phase"], failure["error"]) == (phase, what)


def test_a_command_line_that_makes_no_sense(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(click.UsageError):
        run(nothing, "--json", "--jobs", "many")
    [failure] = document(capsys)["failed"]
    assert failure["phase"] == "usage" and "'many'" in failure["error"]


@pytest.mark.parametrize("arguments", [["--jobs", "many"], ["--jobs", "many", "--", "--json"]])
def test_nothing_is_printed_for_people(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(click.UsageError):
        run(nothing, *arguments)
    with pytest.raises(RuntimeError):
        run(ends_with(RuntimeError()))
    assert capsys.readouterr().out == ""


def test_help_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    run(nothing, "--json", "--help")
    assert capsys.readouterr().out.startswith("Usage")


def test_there_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    def act() -> None:
        print_document({"ok": True})
        raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, click.Abort)):
        run(act, "--json")
    assert document(capsys) == {"ok": True}
