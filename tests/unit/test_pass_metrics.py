from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from pybuilder.pass_metrics import Standing, metrics
from pybuilder.passes import Awaited, Built, Problem, Updated
from tests.support.passing import NOW, PASS


def read(text: str) -> dict[str, dict[str, float]]:
    """Values by name, then by the labels that are not the same for all."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = [value for name, value in sample.labels.items() if name not in ("workspace", "channel")]
            assert sample.labels["workspace"] and sample.labels["channel"] == "host"
            found.setdefault(sample.name, {})[",".join(labels)] = sample.value
    return found


def problem(kind: str, phase: str = "") -> Problem:
    return Problem(kind=kind, subject="x", what="it fails", exit_code=10, first_seen=NOW, new=True, phase=phase)


def test_what_a_pass_came_to_can_be_read_by_prometheus() -> None:
    awaited = Awaited(name="six", requirement="six", wanted_by="x", first_seen=NOW, new=True)
    pass_ = replace(
        PASS,
        outcome="problems",
        updated=(Updated(name="a", old="1", new="2", commit="", needed_by=1),),
        built=(Built(build="host/a==2+pb.1", name="a", version="2", why="update", seconds=1.0),) * 2,
        cached=7,
        yanked=(("host/a==1+pb.1", "bad"),),
        review=(awaited,) * 3,
        problems=(problem("build", "build"), problem("build", "build"), problem("build", "validate"), problem("pull")),
        postponed=4,
    )
    success = datetime(2026, 11, 26, tzinfo=UTC)
    standing = Standing(last_success=success, attempts={"failed": 3}, messages_waiting=5, messages_dropped=6)
    assert read(metrics(pass_, standing)) == {
        "pybuild_last_pass_timestamp_seconds": {"": PASS.began.timestamp() + 300.25},
        "pybuild_last_success_timestamp_seconds": {"": success.timestamp()},
        "pybuild_pass_outcome": {"ok": 0.0, "problems": 1.0, "failed": 0.0},
        "pybuild_pass_duration_seconds": {"": 300.25},
        "pybuild_pass_phase_duration_seconds": {"update": 12.5, "build": 280.0},
        "pybuild_pass_packages": {"updated": 1.0, "built": 2.0, "cached": 7.0, "yanked": 1.0},
        "pybuild_review_waiting": {"": 3.0},
        "pybuild_stale_postponed": {"": 4.0},
        "pybuild_problems": {"build": 3.0, "pull": 1.0},
        "pybuild_failures": {"build": 2.0, "validate": 1.0},
        "pybuild_builds_total": {"succeeded": 0.0, "failed": 3.0},
        "pybuild_messages_waiting": {"": 5.0},
        "pybuild_messages_dropped_total": {"": 6.0},
    }


def test_what_strangers_write_stays_a_label() -> None:
    awkward = 'a"b\\c\nd{}=\ud800'
    text = metrics(replace(PASS, workspace=awkward), Standing(last_success=None))
    names: Any = {
        sample.labels["workspace"] for family in text_string_to_metric_families(text) for sample in family.samples
    }
    assert names == {'a"b\\c\nd{}=?'}
    assert read(text)["pybuild_last_success_timestamp_seconds"] == {"": 0.0}


def test_each_family_is_typed_and_only_what_never_falls_is_a_counter() -> None:
    families = list(text_string_to_metric_families(metrics(PASS, Standing(last_success=None))))
    assert all(family.documentation and family.type in ("gauge", "counter") for family in families)
    assert {family.name for family in families if family.type == "counter"} == {
        "pybuild_builds",
        "pybuild_messages_dropped",
    }
