"""The envelope of a numbered wheel: what its record says, as a Statement, signed if the state has a key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pybuilder import record
from pybuilder.errors import StateError
from pybuilder.files import sha256_file
from pybuilder.plan import Plan
from pybuilder.provenance import BILL, statement
from pybuilder.signing import PrivateKey, seal


def envelope(
    directory: Path,
    *,
    wheel: str,
    sha256: str,
    account: Mapping[str, Any],
    plan: Plan,
    bill: bytes,
    key: PrivateKey | None,
) -> bytes:
    """The file beside a wheel in the index that says where it came from.

    Args:
        directory: The record of the attempt that made its payload.
        wheel: The wheel's file name.
        sha256: The wheel's digest.
        account: What that record says.
        plan: What that attempt tried.
        bill: The bill of materials that lies beside the wheel.
        key: Signs it; None leaves it unsigned.

    Raises:
        StateError: The record is not whole.
    """
    published = f"records/{account['result']['payload_sha256']}/{directory.name}"
    said = statement(
        wheel=wheel,
        wheel_sha256=sha256,
        account=account,
        plan=plan,
        record={
            f"files/{wheel}{BILL}": hashlib.sha256(bill).hexdigest(),
            **{f"{published}/{file}": digest for file, digest in _files(directory)},
        },
    )
    return seal(said, key).as_bytes


def _files(directory: Path) -> Iterator[tuple[str, str]]:
    """The files of a record that never change once its attempt has ended: path in it, and digest.

    What validation adds is not among them: it is written again when a payload is validated with other packages.
    """
    patches = sorted(str(file.relative_to(directory)) for file in directory.glob("patches/*"))
    for name in (record.ENVIRONMENT, record.LOG, record.PLAN, record.RECORD, *patches):
        try:
            yield name, sha256_file(directory / name)
        except FileNotFoundError as error:
            raise StateError(
                "a part of the record of an attempt is missing", where=str(directory / name), cure="build it again"
            ) from error
