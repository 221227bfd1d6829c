"""``specs/rejected.toml``: read strictly, edited without touching what a person has written."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta, timezone

import pytest

from pybuilder.errors import ConfigError
from pybuilder.rejections import parse_rejections, with_rejection, without_rejection

NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)


def added(text: str = "", name: str = "evil", *, reason: str = "no", by: str = "Ada") -> str:
    return with_rejection(text, name, reason=reason, by=by, when=NOON)


class TestReading:
    def test_all_that_can_be_said(self) -> None:
        text = '[packages.evil]\nreason = "no\\nway"\nby = "Ada"\nwhen = 2026-01-02T14:00:00+02:00\n'
        [(name, rejection)] = parse_rejections(text).items()
        assert (name, rejection.when) == ("evil", datetime(2026, 1, 2, 12, tzinfo=UTC))
        assert rejection.sentence == "rejected on 2026-01-02 by Ada: no way"
        assert rejection.as_json == {"reason": "no\nway", "by": "Ada", "when": "2026-01-02T12:00:00Z"}

    def test_as_little_as_can_be_said(self) -> None:
        rejection = parse_rejections("[packages.evil]\n")["evil"]  # type: ignore[index]
        assert rejection.sentence == "rejected: no reason was given"
        assert rejection.as_json == {"reason": "", "by": "", "when": ""}

    def test_nothing_at_all(self) -> None:
        assert parse_rejections("") == {}

    def test_what_a_terminal_would_obey(self) -> None:
        rejection = parse_rejections('[packages.evil]\nreason = "\\u001b[31mred"\n')["evil"]  # type: ignore[index]
        assert "\x1b" not in rejection.sentence and "[31mred" in rejection.sentence

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("[packages.Evil]\n", "must be written as 'evil'"),
            ('[packages.evil]\nreasn = "no"\n', "did you mean 'reason'?"),
            ('[evil]\nreason = "no"\n', "unknown key 'evil'"),
            ("[packages.evil]\nreason = 3\n", "expected a string"),
            ("[packages.evil]\nwhen = 2026-01-01T00:00:00\n", "has no zone"),
            ("[packages.evil]\nwhen = 'today'\n", "datetime"),
            ("packages = 3\n", "expected a table"),
            ("[packages\n", "no TOML"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_line(self, text: str, told: str) -> None:
        with pytest.raises(ConfigError) as caught:
            parse_rejections(text)
        assert told in str(caught.value) and "specs/rejected.toml:" in caught.value.where


class TestEditing:
    def test_a_first_one_makes_the_file_and_says_what_it_is(self) -> None:
        text = added(reason='not "kept"\nup')
        assert text.startswith("# Packages that somebody has looked at")
        assert tomllib.loads(text) == {
            "packages": {"evil": {"reason": 'not "kept"\nup', "by": "Ada", "when": NOON.replace(microsecond=0)}}
        }

    def test_what_is_not_known_is_left_out(self) -> None:
        assert set(tomllib.loads(added(reason="", by=""))["packages"]["evil"]) == {"when"}

    def test_comments_and_others_stay(self) -> None:
        mine = '# mine\n[packages.one]\nreason = "1"  # why\n\n# of two\n[packages.two]\nreason = "2"\n'
        text = added(mine)
        assert text.startswith(mine)
        assert list(parse_rejections(text)) == ["one", "two", "evil"]

    def test_a_second_opinion_replaces_the_first(self) -> None:
        mine = '[packages.evil]\n# mine\nreason = "old"\nby = "Ada"\n'
        text = added(mine, reason="new", by="")
        assert "# mine" in text and "old" not in text and "Ada" not in text
        assert parse_rejections(text)["evil"].reason == "new"  # type: ignore[index]

    def test_tables_in_one_line(self) -> None:
        text = added("[packages]\none = { reason = '1' }\nevil = { reason = 'old' }\n")
        assert {name: each.reason for name, each in parse_rejections(text).items()} == {"one": "1", "evil": "no"}

    def test_other_time_zones(self) -> None:
        local = NOON.astimezone(timezone(timedelta(hours=5)))
        assert with_rejection("", "evil", reason="no", by="Ada", when=local) == added()

    @pytest.mark.parametrize("name", ["one", "two", "three"])
    def test_taking_one_out_leaves_the_rest_as_it_is(self, name: str) -> None:
        parts = {
            "one": '# of one\n[packages.one]\nreason = "1"  # why\n\n',
            "two": '# of two\n# in two lines\n[packages.two]\n# here\nreason = """\n[packages.no]\n"""\n\n',
            "three": "# of three\n[packages.three]\n",
        }
        text = without_rejection("# mine\n\n" + "".join(parts.values()), name)
        assert set(parse_rejections(text)) == parts.keys() - {name}
        assert text.startswith("# mine\n\n")
        for other in parts.keys() - {name}:
            assert parts[other] in text
        assert sum(map(len, (text, parts[name]))) == len("# mine\n\n" + "".join(parts.values()))

    def test_the_last_one(self) -> None:
        text = without_rejection(added(), "evil")
        assert parse_rejections(text) == {} and text.startswith("# Packages")
        assert added(text) == added()

    def test_one_that_is_not_there(self) -> None:
        assert without_rejection(added(), "good") == added()
        assert without_rejection("", "good") == ""

    def test_a_table_in_one_line_goes_too(self) -> None:
        text = without_rejection("[packages]\n# of one\none = { reason = '1' }\nevil = { reason = 'old' }\n", "evil")
        assert text == "[packages]\n# of one\none = { reason = '1' }\n"

    def test_a_file_that_is_wrong_is_not_touched(self) -> None:
        with pytest.raises(ConfigError):
            added("[packages.Evil]\n")
        with pytest.raises(ConfigError):
            without_rejection("[packages.Evil]\n", "evil")
