"""Whether the provenance beside each wheel is whole: of that wheel, signed as it says, and true of the record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pybuilder.errors import SigningError, ValidationError
from pybuilder.files import sha256_file
from pybuilder.index.pages import File
from pybuilder.index.tree import KEYS, Tree, beside_path
from pybuilder.provenance import BILL, Provenance, read_statement
from pybuilder.signing import SUFFIX, PublicKey, kept_keys, parse_envelope, signer


def problems(root: Path) -> Iterator[tuple[Path, str]]:
    """Every problem with an index's envelopes: the path, and what.

    Signatures are compared with the index's own keys, so that what was changed is found. Whether these are the keys to
    trust is for an audit, which has them from elsewhere.
    """
    keys: Mapping[str, PublicKey] = {}
    try:
        keys = kept_keys(root / KEYS)
    except SigningError as error:
        yield Path(error.where), error.what
    tree = Tree(root)
    for project in tree.projects_with_pages():
        for file in tree.read(project):
            yield from _of_wheel(tree, file, keys)


def _of_wheel(tree: Tree, file: File, keys: Mapping[str, PublicKey]) -> Iterator[tuple[Path, str]]:
    path = beside_path(tree.files / file.filename, SUFFIX)
    sha256 = dict(file.beside).get(SUFFIX)
    if sha256 is None and not path.exists():
        yield path, f"is missing: {file.filename} was published without provenance"
    if sha256 is None or not path.is_file() or sha256_file(path) != sha256:
        return  # told of every file beside a wheel
    try:
        envelope = parse_envelope(path.read_bytes(), where=str(path))
        said = read_statement(envelope.payload, where=str(path))
        if envelope.signatures:
            signer(envelope, keys, where=str(path))
    except ValidationError as error:
        yield path, error.what
        return
    if (said.wheel, said.wheel_sha256) != (file.filename, file.sha256):
        yield path, f"is about {said.wheel!r} with sha256 {said.wheel_sha256}"
    if said.bill != dict(file.beside).get(BILL, ""):
        yield path, "names another bill of materials than the one that is published"
    yield from _of_record(tree.root, said)


def _of_record(root: Path, said: Provenance) -> Iterator[tuple[Path, str]]:
    for name, sha256 in said.record.items():
        path = root / name
        if not path.is_file():
            yield path, f"is missing, but the provenance of {said.wheel} names it"
        elif (found := sha256_file(path)) != sha256:
            yield path, f"has sha256 {found}, but the provenance of {said.wheel} says {sha256}"
