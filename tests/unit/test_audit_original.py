"""Which differences from upstream's own wheel count, and which wheels are compared with it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from pybuilder.audit import DirectoryReader, Shelf, Trust
from pybuilder.audit.original import Original, against_upstream, of_tools
from pybuilder.errors import UsageError
from pybuilder.index.pages import File
from pybuilder.wheel.differences import FileChange


def change(name: str) -> FileChange:
    return FileChange(name=name, before=None, after=None, lines=())


@pytest.mark.parametrize("name", ["METADATA", "WHEEL", "RECORD", "licenses/LICENSE"])
def test_what_backends_write_of_themselves_makes_no_other_wheel(name: str) -> None:
    changes = (change(f"six-1.0.dist-info/{name}"),)
    assert of_tools(changes[0]) and Original(wheel="", upstream=("", ""), changes=changes).same


@pytest.mark.parametrize(
    "name", ["six.py", "six/METADATA", "dist-info/METADATA", "six-1.0.dist-info/entry_points.txt", "six.data/scripts/x"]
)
def test_what_is_installed_or_runs_does(name: str) -> None:
    changes = (change("six-1.0.dist-info/WHEEL"), change(name))
    assert not of_tools(changes[1]) and not Original(wheel="", upstream=("", ""), changes=changes).same


def test_a_wheel_with_compiled_code_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    shelf = Shelf(reader=DirectoryReader(tmp_path), trust=Trust(keys={}), scratch=tmp_path)
    file = File(
        filename="six-1.0+pb.1-cp311-cp311-linux_x86_64.whl",
        version="1.0+pb.1",
        sha256="0" * 64,
        size=1,
        upload_time=datetime(2026, 1, 1, tzinfo=UTC),
    )
    nothing = cast(Any, None)
    with pytest.raises(UsageError, match="is not pure"):
        against_upstream(shelf, file, upstream=nothing, client=nothing, scratch=tmp_path)
