from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib import dsse
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from pybuilder.errors import SigningError, StateError, UsageError, ValidationError
from pybuilder.signing import (
    PAYLOAD_TYPE,
    Envelope,
    PrivateKey,
    PublicKey,
    kept_keys,
    load_private,
    make_key,
    parse_envelope,
    read_public,
    seal,
    signer,
)

STATEMENT = b'{"_type":"https://in-toto.io/Statement/v1"}'
# RFC 8032, section 7.1, test 2.
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)
KEY = PrivateKey(seed=SEED)
TRUSTED = {KEY.public.keyid: KEY.public}


def their_key(key: PublicKey) -> SSlibKey:
    return SSlibKey(key.keyid, "ed25519", "ed25519", {"public": key.raw.hex()})


def signed(payload: bytes = STATEMENT, key: PrivateKey = KEY) -> dict[str, Any]:
    return json.loads(seal(payload, key).as_bytes)


def parsed(document: dict[str, Any]) -> Envelope:
    return parse_envelope(json.dumps(document).encode(), where="x.intoto.json")


def test_keys_and_signatures_are_those_of_the_standard() -> None:
    assert KEY.public.raw == PUBLIC
    assert KEY.sign(b"\x72") == SIGNATURE
    assert KEY.public.verifies(SIGNATURE, b"\x72")
    assert not KEY.public.verifies(SIGNATURE, b"\x73")
    assert not KEY.public.verifies(SIGNATURE[:-1], b"\x72")


def test_key_files_are_what_other_tools_write_and_read() -> None:
    theirs = ed25519.Ed25519PrivateKey.from_private_bytes(SEED)
    assert KEY.pem == theirs.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert KEY.public.pem == theirs.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert load_pem_private_key(KEY.pem, None).private_bytes_raw() == SEED  # type: ignore[union-attr]
    assert load_pem_public_key(KEY.public.pem).public_bytes_raw() == PUBLIC  # type: ignore[union-attr]
    assert PublicKey.parse(KEY.public.pem, where="") == KEY.public


def test_a_private_key_is_not_shown() -> None:
    assert SEED.hex() not in repr(KEY)
    assert str(SEED) not in repr(KEY)


def test_each_key_is_another() -> None:
    assert PrivateKey.generate() != PrivateKey.generate()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pem: b"",
        lambda pem: b"\xff\x00garbage",
        lambda pem: pem[:-10],
        lambda pem: pem.replace(b"A", b"B", 1),
        lambda pem: pem + pem,
        lambda pem: pem.replace(b"MC", b"M!"),
        lambda pem: (
            rsa.generate_private_key(65537, 1024)
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        ),
    ],
)
def test_what_is_no_public_key_is_refused(spoil: Any) -> None:
    with pytest.raises(SigningError, match="no ed25519 public key") as caught:
        PublicKey.parse(spoil(KEY.public.pem), where="keys/a.pem")
    assert caught.value.where == "keys/a.pem"
    assert caught.value.exit_code == 3


def test_a_private_key_among_the_public_ones_is_pointed_out() -> None:
    with pytest.raises(SigningError, match="private key where a public one belongs"):
        PublicKey.parse(KEY.pem, where="")


# Envelopes.


@pytest.mark.parametrize("payload", [STATEMENT, b"", b"\x00\xff" * 3, "ä".encode()])
def test_an_envelope_verifies_with_securesystemslib(payload: bytes) -> None:
    theirs = dsse.Envelope.from_dict(signed(payload))
    assert theirs.payload == payload
    assert theirs.payload_type == PAYLOAD_TYPE
    assert list(theirs.verify([their_key(KEY.public)], 1)) == [KEY.public.keyid]
    with pytest.raises(VerificationError):
        theirs.verify([their_key(PrivateKey.generate().public)], 1)


def test_an_envelope_of_securesystemslib_verifies_with_ours() -> None:
    envelope = dsse.Envelope(STATEMENT, PAYLOAD_TYPE, {})
    from securesystemslib.signer import CryptoSigner

    envelope.sign(CryptoSigner(ed25519.Ed25519PrivateKey.from_private_bytes(SEED), their_key(KEY.public)))
    ours = parsed(envelope.to_dict())
    assert ours.payload == STATEMENT
    assert signer(ours, TRUSTED, where="") == KEY.public


def test_signing_is_deterministic_and_read_back() -> None:
    envelope = seal(STATEMENT, KEY)
    assert envelope == seal(STATEMENT, KEY)
    assert parse_envelope(envelope.as_bytes, where="") == envelope


def test_unsigned_is_an_envelope_without_signatures() -> None:
    document = json.loads(seal(STATEMENT, None).as_bytes)
    assert document["signatures"] == []
    assert base64.b64decode(document["payload"]) == STATEMENT
    with pytest.raises(ValidationError, match="not signed"):
        signer(parsed(document), TRUSTED, where="")


def test_the_payload_may_be_in_the_other_alphabet() -> None:
    payload = b"\xfb\xff\xfe"
    document = signed(payload)
    document["payload"] = base64.urlsafe_b64encode(payload).decode()
    assert "-" in document["payload"] or "_" in document["payload"]
    assert signer(parsed(document), TRUSTED, where="") == KEY.public


def test_another_key_is_no_trusted_one() -> None:
    other = PrivateKey.generate()
    with pytest.raises(ValidationError, match=f"signed by {other.public.keyid}, which is no trusted key") as caught:
        signer(seal(STATEMENT, other), TRUSTED, where="six.whl.intoto.json")
    assert caught.value.where == "six.whl.intoto.json"
    assert caught.value.exit_code == 50


def test_a_signature_that_claims_another_key_is_refused() -> None:
    document = signed(key=PrivateKey.generate())
    document["signatures"][0]["keyid"] = KEY.public.keyid
    with pytest.raises(ValidationError, match="not over what is in this envelope"):
        signer(parsed(document), TRUSTED, where="")


@pytest.mark.parametrize("changed", ["payload", "payloadType", "sig"])
def test_a_changed_envelope_is_refused(changed: str) -> None:
    envelope = seal(STATEMENT, KEY)
    if changed == "payload":
        envelope = Envelope(payload=STATEMENT + b" ", payload_type=PAYLOAD_TYPE, signatures=envelope.signatures)
    elif changed == "payloadType":
        envelope = Envelope(payload=STATEMENT, payload_type="text/plain", signatures=envelope.signatures)
    else:
        other = seal(STATEMENT + b" ", KEY)
        envelope = Envelope(payload=STATEMENT, payload_type=PAYLOAD_TYPE, signatures=other.signatures)
    with pytest.raises(ValidationError, match="not over what is in this envelope"):
        signer(envelope, TRUSTED, where="")


def test_a_bad_signature_is_not_outweighed_by_a_good_one() -> None:
    other = PrivateKey.generate()
    good, bad = seal(STATEMENT, KEY).signatures[0], seal(b"another", other).signatures[0]
    both = Envelope(payload=STATEMENT, payload_type=PAYLOAD_TYPE, signatures=(good, bad))
    with pytest.raises(ValidationError, match="not over what is in this envelope"):
        signer(both, TRUSTED | {other.public.keyid: other.public}, where="")
    assert signer(both, TRUSTED, where="") == KEY.public  # nothing is known of the other


def test_a_former_key_still_verifies_what_it_signed() -> None:
    new = PrivateKey.generate()
    assert signer(seal(STATEMENT, KEY), TRUSTED | {new.public.keyid: new.public}, where="") == KEY.public


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("payload"),
        lambda d: d.pop("signatures"),
        lambda d: d.pop("payloadType"),
        lambda d: d.update(payload=5),
        lambda d: d.update(payload="not base64!"),
        lambda d: d.update(signatures=[1]),
        lambda d: d.update(signatures=None),
        lambda d: d.update(signatures=[{"keyid": "a"}]),
        lambda d: d.update(signatures=[{"keyid": 5, "sig": ""}]),
        lambda d: d.update(payloadType="application/json"),
    ],
)
def test_what_is_no_envelope_of_ours_is_refused(change: Any) -> None:
    document = signed()
    change(document)
    with pytest.raises(ValidationError) as caught:
        parsed(document)
    assert caught.value.where == "x.intoto.json"


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"\xff", b"[" * 100_000, b"7"])
def test_bytes_that_are_no_envelope_are_refused(data: bytes) -> None:
    with pytest.raises(ValidationError, match="no DSSE envelope"):
        parse_envelope(data, where="")


# Files of keys.


@pytest.fixture
def private(tmp_path: Path) -> Path:
    return tmp_path / "state" / "key" / "private.pem"


def test_a_new_key_is_its_owners_alone(private: Path, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        key = make_key(private, tmp_path / "keys", replace=False)
    finally:
        os.umask(old)
    assert private.stat().st_mode & 0o777 == 0o600
    assert private.parent.stat().st_mode & 0o777 == 0o700
    assert kept_keys(tmp_path / "keys") == {key.keyid: key}
    loaded = load_private(private)
    assert loaded is not None
    assert loaded.public == key


def test_a_key_is_never_overwritten_by_a_new_one(private: Path, tmp_path: Path) -> None:
    make_key(private, tmp_path / "keys", replace=False)
    before = private.read_bytes()
    with pytest.raises(UsageError, match="there is a key already") as caught:
        make_key(private, tmp_path / "keys", replace=False)
    assert caught.value.cure == "pybuild key rotate"
    assert private.read_bytes() == before
    assert len(kept_keys(tmp_path / "keys")) == 1


def test_a_rotated_key_leaves_its_public_part(private: Path, tmp_path: Path) -> None:
    old = make_key(private, tmp_path / "keys", replace=False)
    new = make_key(private, tmp_path / "keys", replace=True)
    loaded = load_private(private)
    assert loaded is not None
    assert loaded.public == new != old
    assert kept_keys(tmp_path / "keys") == {old.keyid: old, new.keyid: new}
    assert private.stat().st_mode & 0o777 == 0o600


def test_without_a_key_there_is_nothing_to_rotate(private: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no key to replace"):
        make_key(private, tmp_path / "keys", replace=True)
    assert not (tmp_path / "keys").exists()


def test_a_damaged_key_can_be_rotated(private: Path, tmp_path: Path) -> None:
    make_key(private, tmp_path / "keys", replace=False)
    private.write_bytes(b"")
    new = make_key(private, tmp_path / "keys", replace=True)
    loaded = load_private(private)
    assert loaded is not None
    assert loaded.public == new


def test_no_file_is_no_key(private: Path) -> None:
    assert load_private(private) is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601])
def test_a_key_that_others_can_read_is_refused(private: Path, tmp_path: Path, mode: int) -> None:
    make_key(private, tmp_path / "keys", replace=False)
    private.chmod(mode)
    with pytest.raises(SigningError, match=f"mode is {mode:04o}") as caught:
        load_private(private)
    assert "chmod 600" in caught.value.cure


@pytest.mark.parametrize("data", [b"", b"junk", KEY.public.pem, KEY.pem[:-30], b"\xff" * 99])
def test_a_damaged_key_is_refused_and_not_shown(private: Path, data: bytes) -> None:
    private.parent.mkdir(parents=True)
    private.write_bytes(data)
    private.chmod(0o600)
    with pytest.raises(SigningError, match="damaged") as caught:
        load_private(private)
    assert "rotate" in caught.value.cure
    assert base64.b64encode(SEED).decode()[:10] not in str(caught.value)


def test_a_key_file_that_is_a_directory_is_no_fault_of_ours(private: Path, tmp_path: Path) -> None:
    private.mkdir(parents=True)
    with pytest.raises(SigningError):
        load_private(private)


def test_a_key_under_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / f"{'0' * 64}.pem").write_bytes(KEY.public.pem)
    with pytest.raises(SigningError, match="another key than the file's name says"):
        kept_keys(tmp_path)


def test_there_may_be_no_keys(tmp_path: Path) -> None:
    assert kept_keys(tmp_path / "none") == {}


def test_a_named_key_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match="can't be read") as caught:
        read_public([tmp_path / "none.pem"])
    assert caught.value.where == str(tmp_path / "none.pem")


def test_a_read_only_workspace_makes_no_key(private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system", "keys")

    monkeypatch.setattr("pybuilder.signing.write_atomic", refuse)
    with pytest.raises(StateError, match="read-only"):
        make_key(private, tmp_path / "keys", replace=False)
    assert not private.exists()


def test_keys_and_envelopes_are_read_without_cryptography() -> None:
    """Its import takes longer than all else that a cached build does with keys."""
    program = (
        "import sys; from pathlib import Path; from pybuilder.signing import *\n"
        f"parse_envelope({seal(STATEMENT, KEY).as_bytes!r}, where='')\n"
        f"assert PublicKey.parse({KEY.public.pem!r}, where='').keyid == {KEY.public.keyid!r}\n"
        "print([name for name in sys.modules if name.startswith('cryptography')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
