from __future__ import annotations

from pybuilder.schedule import Schedule
from pybuilder.spec.tables import Limits
from pybuilder.tasks import TaskId, making_task
from tests.support.planning import package


def test_of_builds_that_state_no_limits_one_runs_for_each_gibibyte() -> None:
    schedule: Schedule[TaskId] = Schedule(cpus=8, memory=4 << 30, jobs=8)
    ids = [TaskId("make", (package(f"p{n}==1"),), 0) for n in range(8)]
    schedule.add([making_task(each, frozenset(), seconds=1.0, limits=Limits()) for each in ids])
    assert len(schedule.start()) == 4
