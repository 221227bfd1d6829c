"""The metrics of a pass as a Prometheus textfile, as node_exporter's textfile collector reads it.

Names and units follow Prometheus' conventions (base units, ``_total`` for what only grows); format: its text exposition
format 0.0.4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pybuilder.passes import Pass

Labels = Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What is known besides the pass itself.

    Attributes:
        last_success: When a pass last came to its end; None where none has.
        attempts: How many attempts ended in which state, ever.
        messages_waiting: Messages that wait for their address.
        messages_dropped: Messages that waited too long, ever.
    """

    last_success: datetime | None
    attempts: Mapping[str, int] = field(default_factory=dict)
    messages_waiting: int = 0
    messages_dropped: int = 0


def metrics(pass_: Pass, standing: Standing) -> str:
    """The text of the file."""
    same = {"workspace": pass_.workspace, "channel": pass_.channel}
    return "".join(line for each in _metrics(pass_, standing) for line in each.lines(same))


@dataclass(frozen=True, slots=True)
class _Metric:
    name: str
    what: str
    values: Sequence[tuple[Labels, float]]

    def lines(self, same: Labels) -> Iterator[str]:
        kind = "counter" if self.name.endswith("_total") else "gauge"
        yield f"# HELP {self.name} {self.what}\n# TYPE {self.name} {kind}\n"
        for labels, value in self.values:
            told = ",".join(f'{name}="{_escaped(text)}"' for name, text in {**same, **labels}.items())
            yield f"{self.name}{{{told}}} {value!r}\n"


def _metrics(pass_: Pass, standing: Standing) -> Iterator[_Metric]:
    ended = pass_.began.timestamp() + pass_.seconds
    yield _one("pybuild_last_pass_timestamp_seconds", "When the last pass ended, however it ended.", ended)
    success = 0.0 if standing.last_success is None else standing.last_success.timestamp()
    yield _one("pybuild_last_success_timestamp_seconds", "When a pass last came to its end; 0 for never.", success)
    yield _Metric(
        "pybuild_pass_outcome",
        "How the last pass ended: 1 for the outcome that it had.",
        [({"outcome": each}, float(each == pass_.outcome)) for each in ("ok", "problems", "failed")],
    )
    yield _one("pybuild_pass_duration_seconds", "How long the last pass took.", pass_.seconds)
    phases = [({"phase": phase}, seconds) for phase, seconds in pass_.phases.items()]
    yield _Metric("pybuild_pass_phase_duration_seconds", "How long a phase of the last pass took.", phases)
    done = {"updated": len(pass_.updated), "built": len(pass_.built), "cached": pass_.cached}
    yield _Metric(
        "pybuild_pass_packages",
        "What the last pass came to, in packages.",
        _counted("result", done | {"yanked": len(pass_.yanked)}),
    )
    yield _one("pybuild_review_waiting", "Packages and versions that wait for a person.", len(pass_.review))
    yield _one("pybuild_stale_postponed", "Stale packages that were left for a later pass.", pass_.postponed)
    problems = Counter(problem.kind for problem in pass_.problems)
    yield _Metric("pybuild_problems", "Problems that stand, by kind.", _counted("kind", problems))
    failures = Counter(problem.phase for problem in pass_.problems if problem.phase)
    yield _Metric("pybuild_failures", "Packages that fail, by the phase in which they do.", _counted("phase", failures))
    attempts = {"succeeded": 0, "failed": 0} | dict(standing.attempts)
    yield _Metric("pybuild_builds_total", "Attempts at builds, by outcome.", _counted("outcome", attempts))
    yield _one("pybuild_messages_waiting", "Messages that have not been taken yet.", standing.messages_waiting)
    yield _one("pybuild_messages_dropped_total", "Messages that nobody took in time.", standing.messages_dropped)


def _one(name: str, what: str, value: float) -> _Metric:
    return _Metric(name, what, [({}, float(value))])


def _counted(label: str, counts: Mapping[str, int]) -> list[tuple[Labels, float]]:
    return [({label: name}, float(count)) for name, count in sorted(counts.items())]


def _escaped(text: str) -> str:
    # A lone surrogate has no place in UTF-8.
    whole = text.encode("utf-8", "replace").decode()
    return whole.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
