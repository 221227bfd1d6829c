"""What the program that compiles modules does with one request."""

from __future__ import annotations

import io
import marshal
from importlib.util import cache_from_source
from pathlib import Path

from pybuilder.byte_compile import LENGTH, bytecode, compile_tree, foresee, send

THERE = "/env"


def laid_out(root: Path, sources: dict[str, bytes]) -> Path:
    for name, source in sources.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(source)
    return root


def compiled(
    root: Path, sources: dict[str, bytes], foreseen: bytes = b"", *, part: int = 0, parts: int = 1
) -> set[str]:
    """Which modules have bytecode now."""
    laid_out(root, sources)
    assert compile_tree(str(root), str(root), THERE, part, parts, foreseen) == b""
    return {name for name in sources if Path(cache_from_source(root / name)).is_file()}


def test_what_was_foreseen_is_what_would_have_been_compiled(tmp_path: Path) -> None:
    sources = {"demo/__init__.py": b"A = 1\n", "demo/a.py": b"B = 2\n"}
    foreseen = foresee({f"{THERE}/{name}": source for name, source in sources.items()})
    one, two = tmp_path / "one", tmp_path / "two"
    assert compiled(one, sources, foreseen) == compiled(two, sources) == set(sources)
    for name in sources:
        assert Path(cache_from_source(one / name)).read_bytes() == Path(cache_from_source(two / name)).read_bytes()


def test_it_serves_in_the_same_place_for_the_same_source_only(tmp_path: Path) -> None:
    source, other = b"A = 1\n", b"A = 2\n"
    # Told apart from what would be compiled, so that one sees which was taken.
    mark = bytecode(source, f"{THERE}/a.py") + b"foreseen"
    foreseen = marshal.dumps({f"{THERE}/{name}": mark for name in ("same.py", "changed.py")})
    sources = {"same.py": source, "changed.py": other, "elsewhere/same.py": source}
    compiled(tmp_path, sources, foreseen)
    taken = {name for name in sources if Path(cache_from_source(tmp_path / name)).read_bytes() == mark}
    assert taken == {"same.py"}
    assert Path(cache_from_source(tmp_path / "changed.py")).read_bytes() == bytecode(other, f"{THERE}/changed.py")


def test_what_does_not_compile_has_no_bytecode_foreseen_or_not(tmp_path: Path) -> None:
    sources = {"good.py": b"A = 1\n", "template.py": b"{{ name }}: no Python\n"}
    foreseen = foresee({f"{THERE}/{name}": source for name, source in sources.items()})
    assert compiled(tmp_path / "one", sources) == compiled(tmp_path / "two", sources, foreseen) == {"good.py"}


def test_parts_are_disjoint_and_together_all(tmp_path: Path) -> None:
    sources = {f"m{number}.py": b"" for number in range(7)}
    parts = [compiled(tmp_path / str(part), sources, part=part, parts=3) for part in range(3)]
    assert set().union(*parts) == set(sources)
    assert sum(map(len, parts)) == len(sources)


def test_a_message_begins_with_its_length() -> None:
    stream = io.BytesIO()
    send(stream, b"x" * 300)
    assert stream.getvalue() == (300).to_bytes(LENGTH, "little") + b"x" * 300
