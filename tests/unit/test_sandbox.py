"""The environment variables of a build."""

from __future__ import annotations

import pytest

from pybuilder.sandbox import build_environ

MAPS = {
    "CFLAGS": "-ffile-prefix-map=/build/x=.",
    "CXXFLAGS": "-ffile-prefix-map=/build/x=.",
    "FFLAGS": "-ffile-prefix-map=/build/x=.",
    "FCFLAGS": "-ffile-prefix-map=/build/x=.",
    "CARGO_BUILD_RUSTFLAGS": "--remap-path-prefix=/build/x=.",
}


def environ(**extra: str) -> dict[str, str]:
    return build_environ(source_date_epoch=7, build_dir="/build/x", extra=extra)


def test_every_compiler_maps_the_path_of_the_source() -> None:
    assert {name: environ()[name] for name in MAPS} == MAPS
    # It would replace what a package's own settings for cargo say.
    assert "RUSTFLAGS" not in environ()


@pytest.mark.parametrize("name", [*MAPS, "RUSTFLAGS"])
def test_what_a_spec_sets_is_added_to_it(name: str) -> None:
    expected = MAPS.get(name, MAPS["CARGO_BUILD_RUSTFLAGS"])
    assert environ(**{name: "--more"})[name] == f"{expected} --more"


def test_what_else_a_spec_sets_is_what_it_sets() -> None:
    assert environ(PYTHONHASHSEED="1", OWN="2").items() >= {"PYTHONHASHSEED": "1", "OWN": "2"}.items()


def test_what_is_left_to_chance_elsewhere() -> None:
    fixed = {"SOURCE_DATE_EPOCH": "7", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "ARFLAGS": "crD"}
    assert environ().items() >= fixed.items()
