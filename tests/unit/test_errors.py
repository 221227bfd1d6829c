from __future__ import annotations

import signal

import pytest

from pybuilder import errors
from pybuilder.cli.main import cli, main
from pybuilder.errors import ConfigError, PybuildError, ReviewError, combined_exit_code


def subclasses() -> list[type[PybuildError]]:
    return [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, PybuildError)]


def test_the_contracts_exit_codes() -> None:
    assert {c.__name__: c.exit_code for c in subclasses()} == {
        "PybuildError": 1,
        "StateError": 1,
        "UsageError": 2,
        "ConfigError": 3,
        "CommitError": 3,
        "BuildError": 10,
        "BuildTimeout": 11,
        "ReproducibilityError": 12,
        "EngineError": 20,
        "FetchError": 30,
        "ConflictError": 30,
        "ReviewError": 40,
        "ValidationError": 50,
        "SigningError": 3,
        "ScreeningError": 50,
        "LockedError": 60,
        "PostponedError": 1,
    }


def test_text_says_what_where_and_what_to_do() -> None:
    error = ConfigError("unknown key", where="specs/six.toml:3:1 [source].tipe", cure="did you mean type?")
    assert str(error) == "unknown key\n  where: specs/six.toml:3:1 [source].tipe\n  do: did you mean type?"
    assert str(ConfigError("unknown key")) == "unknown key"
    assert error.args == ("unknown key",)


def test_review_carries_who_wants_what() -> None:
    error = ReviewError("wheel is needed", wanted=(("wheel", "wheel>=0.40", "six"),))
    assert error.wanted == (("wheel", "wheel>=0.40", "six"),)


@pytest.mark.parametrize(
    ("codes", "combined"),
    [
        ([], 0),
        ([10], 10),
        ([40, 10], 10),
        ([11, 10], 10),
        ([10, 50, 30], 30),
        ([30, 20, 60], 60),
        ([60, 3, 20], 3),
        ([3, 1], 1),
        ([40, 11], 11),
        ([12], 12),
    ],
)
def test_first_of_the_contracts_order(codes: list[int], combined: int) -> None:
    assert combined_exit_code(codes) == combined


def test_an_error_that_ctrl_c_became_is_told_as_an_interrupt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Compiled code that Ctrl-C meets may fail with an error of its own."""

    def swallow(**_: object) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as met:
            raise ValueError("could not build the schema") from met

    monkeypatch.setattr(cli, "main", swallow)
    before = signal.getsignal(signal.SIGINT)
    try:
        assert main([]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "pybuild: interrupted; run the same command again to go on\n"
