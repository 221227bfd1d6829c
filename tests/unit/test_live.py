from __future__ import annotations

from pybuilder.cli.board import Piece
from pybuilder.cli.live import Screen

ONE, TWO = (Piece("one"),), (Piece("two"),)


def test_a_frame_is_written_over_the_one_before_without_clearing_it_first() -> None:
    screen = Screen(colour=False)
    assert screen.replace([], [ONE, TWO], columns=80).endswith("one\x1b[K\ntwo\x1b[K\x1b[J")
    assert screen.replace([], [TWO], columns=80) == "\r\x1b[1Atwo\x1b[K\x1b[J"


def test_the_log_goes_above() -> None:
    screen = Screen(colour=False)
    screen.replace([], [ONE, TWO], columns=80)
    assert screen.replace([(Piece("done"),)], [ONE], columns=80) == "\r\x1b[1A\x1b[Jdone\none\x1b[K\x1b[J"


def test_a_frame_that_a_narrower_terminal_folded_is_gone_as_well() -> None:
    screen = Screen(colour=False)
    screen.replace([], [(Piece("x" * 79),), (Piece("y" * 30), Piece("z" * 10)), ()], columns=80)
    # 79 columns fold into three rows of 30, 40 into two, and an empty line stays one.
    assert screen.replace([], [ONE], columns=30).startswith("\r\x1b[5A\x1b[J")
    # The new frame was written at the new width.
    assert screen.replace([], [ONE], columns=30) == "\rone\x1b[K\x1b[J"


def test_nothing_is_left_at_the_end() -> None:
    screen = Screen(colour=False)
    screen.replace([], [ONE, TWO], columns=80)
    assert screen.replace([ONE], [], columns=80) == "\r\x1b[1A\x1b[Jone\n"


def test_without_colours_there_is_still_bold_and_dim() -> None:
    styled = (Piece("a", "bold"), Piece("b", "red"), Piece("c"), Piece("d", "dim"))
    assert "\x1b[1ma\x1b[0m\x1b[31mb\x1b[0mc\x1b[2md\x1b[0m" in Screen(colour=True).replace([], [styled], columns=80)
    assert "\x1b[1ma\x1b[0mbc\x1b[2md\x1b[0m" in Screen(colour=False).replace([], [styled], columns=80)
