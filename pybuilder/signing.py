"""Signatures: DSSE envelopes (v1.0) signed with ed25519 (RFC 8032), and the files that keep keys (RFC 8410, RFC 7468).

The private key lies in the state, where only its owner may read it. Public keys lie in the workspace, each under the
name of its ``keyid``; those of former keys stay there, so that what they have signed still verifies.

``cryptography`` is imported when something is signed or verified, and not for reading keys and envelopes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pybuilder.errors import SigningError, UsageError, ValidationError
from pybuilder.files import disk_errors, write_atomic

PAYLOAD_TYPE = "application/vnd.in-toto+json"
SUFFIX = ".intoto.json"
"""What follows a wheel's name in that of its envelope."""

# DER of an ed25519 key up to its 32 bytes (RFC 8410, sections 4 and 7): there is one form, so nothing else is parsed.
_PRIVATE_PREFIX = bytes.fromhex("302e020100300506032b657004220420")
_PUBLIC_PREFIX = bytes.fromhex("302a300506032b6570032100")
_ANEW = "get it again from where it was published"


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicKey:
    """An ed25519 public key.

    Attributes:
        raw: Its 32 bytes.
    """

    raw: bytes

    @property
    def keyid(self) -> str:
        """The sha256 of its bytes, in lower-case hex."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def pem(self) -> bytes:
        """As SubjectPublicKeyInfo, which every tool reads."""
        return _pem("PUBLIC KEY", _PUBLIC_PREFIX + self.raw)

    @classmethod
    def parse(cls, pem: bytes, *, where: str) -> Self:
        """A public key from its PEM.

        Args:
            pem: The file's bytes.
            where: Its name, for messages.

        Raises:
            SigningError: It is none.
        """
        if b"PRIVATE KEY-----" in pem:
            cure = "remove it from there, and make another with `pybuild key rotate` if others could read it"
            raise SigningError("this is a private key where a public one belongs", where=where, cure=cure)
        raw = _raw(pem, "PUBLIC KEY", _PUBLIC_PREFIX)
        if raw is None:
            raise SigningError(
                "this is no ed25519 public key in PEM", where=where, cure="restore it, for example with `git checkout`"
            )
        return cls(raw=raw)

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Whether the owner of this key has signed these bytes."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, kw_only=True, slots=True)
class PrivateKey:
    """An ed25519 private key; it is never shown.

    Attributes:
        seed: Its 32 bytes (RFC 8032, section 5.1.5).
    """

    seed: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """A key that nobody has."""
        return cls(seed=secrets.token_bytes(32))

    @property
    def public(self) -> PublicKey:
        """The key that verifies what this one signs."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return PublicKey(raw=Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw())

    @property
    def pem(self) -> bytes:
        """As PKCS #8, without a password."""
        return _pem("PRIVATE KEY", _PRIVATE_PREFIX + self.seed)

    def sign(self, data: bytes) -> bytes:
        """The signature over these bytes, 64 bytes; the same each time."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(data)


def _pem(label: str, der: bytes) -> bytes:
    return f"-----BEGIN {label}-----\n{base64.b64encode(der).decode()}\n-----END {label}-----\n".encode()


def _raw(pem: bytes, label: str, prefix: bytes) -> bytes | None:
    """The 32 bytes of the one key that a PEM file has, or None where it has something else."""
    lines = pem.decode("ascii", "replace").split()
    begin, end = f"-----BEGIN {label}-----".split(), f"-----END {label}-----".split()
    if lines[: len(begin)] != begin or lines[-len(end) :] != end:
        return None
    try:
        der = base64.b64decode("".join(lines[len(begin) : -len(end)]), validate=True)
    except binascii.Error:
        return None
    return der.removeprefix(prefix) if der.startswith(prefix) and len(der) == len(prefix) + 32 else None


# Envelopes.


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """A signature in an envelope.

    Attributes:
        keyid: Which key is said to have made it; a hint, which nothing vouches for.
        sig: Its bytes.
    """

    keyid: str
    sig: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """A DSSE envelope.

    Attributes:
        payload: What is signed.
        payload_type: What it is.
        signatures: None at all where it is unsigned.
    """

    payload: bytes
    payload_type: str
    signatures: tuple[Signature, ...]

    @property
    def signed_bytes(self) -> bytes:
        """What signatures are over: the pre-authentication encoding of type and payload (DSSE, protocol.md)."""
        kind = self.payload_type.encode()
        return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(self.payload), self.payload)

    @property
    def as_bytes(self) -> bytes:
        """The file (DSSE, envelope.md): JSON, with the payload and signatures in base64."""
        document = {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [
                {"keyid": each.keyid, "sig": base64.b64encode(each.sig).decode()} for each in self.signatures
            ],
        }
        return json.dumps(document, indent=1).encode() + b"\n"


def seal(payload: bytes, key: PrivateKey | None) -> Envelope:
    """An envelope around an in-toto Statement.

    Args:
        payload: The Statement's bytes.
        key: Signs it; None leaves it unsigned.
    """
    unsigned = Envelope(payload=payload, payload_type=PAYLOAD_TYPE, signatures=())
    if key is None:
        return unsigned
    signature = Signature(keyid=key.public.keyid, sig=key.sign(unsigned.signed_bytes))
    return Envelope(payload=payload, payload_type=PAYLOAD_TYPE, signatures=(signature,))


def parse_envelope(data: bytes, *, where: str) -> Envelope:
    """The envelope that a file is; who signed it is for ``signer`` to say.

    Args:
        data: The file's bytes.
        where: Its name, for messages.

    Raises:
        ValidationError: It is no envelope, or one around something that is no in-toto Statement.
    """
    try:
        document = json.loads(data)
        signatures = tuple(
            Signature(keyid=_text(each.get("keyid", "")), sig=_decoded(each["sig"])) for each in document["signatures"]
        )
        payload, payload_type = _decoded(document["payload"]), _text(document["payloadType"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValidationError(f"this is no DSSE envelope: {error!r}", where=where, cure=_ANEW) from error
    if payload_type != PAYLOAD_TYPE:
        raise ValidationError(f"this envelope has {payload_type!r} in it, not {PAYLOAD_TYPE}", where=where, cure=_ANEW)
    return Envelope(payload=payload, payload_type=payload_type, signatures=signatures)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _decoded(value: Any) -> bytes:
    # Both alphabets must be accepted (DSSE, envelope.md).
    return base64.b64decode(_text(value).replace("-", "+").replace("_", "/"), validate=True)


def signer(envelope: Envelope, trusted: Mapping[str, PublicKey], *, where: str) -> PublicKey:
    """The trusted key that has signed an envelope.

    Args:
        envelope: The envelope.
        trusted: The keys that are believed, by ``keyid``.
        where: The envelope's name, for messages.

    Raises:
        ValidationError: None has: it is unsigned, signed by another, or changed since.
    """
    if not envelope.signatures:
        raise ValidationError("this is not signed", where=where, cure="sign what is published: `pybuild key new`")
    known = [(trusted[each.keyid], each.sig) for each in envelope.signatures if each.keyid in trusted]
    if not known:
        said = ", ".join(each.keyid or "a key that is not named" for each in envelope.signatures)
        cure = "find out whose key that is; name the file of one that you trust with --key"
        raise ValidationError(f"this is signed by {said}, which is no trusted key", where=where, cure=cure)
    for key, sig in known:
        if not key.verifies(sig, envelope.signed_bytes):
            raise ValidationError(
                f"the signature by {key.keyid} is not over what is in this envelope: one of them was changed",
                where=where,
                cure=_ANEW,
            )
    return known[0][0]


# Files of keys.


def load_private(path: Path) -> PrivateKey | None:
    """The private key that a file has, or None where there is no such file.

    Raises:
        SigningError: Others than its owner may read or write it, or it has no key.
        StateError: We can't read it.
    """
    with disk_errors(path):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            found = os.fstat(descriptor).st_mode
            pem = os.read(descriptor, 1 << 16) if stat.S_ISREG(found) else b""
        finally:
            os.close(descriptor)
    mode = stat.S_IMODE(found)
    if stat.S_ISREG(found) and mode & 0o077:
        raise SigningError(
            f"the private key can be read or changed by others: its mode is {mode:04o}",
            where=str(path),
            cure=f"`chmod 600 {path}`; if others may have read it, also `pybuild key rotate`",
        )
    seed = _raw(pem, "PRIVATE KEY", _PRIVATE_PREFIX)
    if seed is None:
        raise SigningError(
            "this is no ed25519 private key in PEM: it is damaged",
            where=str(path),
            cure="restore it from a backup, or make another with `pybuild key rotate`",
        )
    return PrivateKey(seed=seed)


def make_key(path: Path, public: Path, *, replace: bool) -> PublicKey:
    """Make a key, write its public part beside those that were there before, and then its private part.

    Args:
        path: The file of the private key.
        public: The directory of the public ones.
        replace: Whether there must be a key that this one replaces; else there must be none.

    Raises:
        UsageError: There is a key already, or there is none to replace.
        StateError: The disk doesn't let us.
    """
    if os.path.lexists(path) != replace:
        what, cure = ("there is no key to replace", "new") if replace else ("there is a key already", "rotate")
        raise UsageError(what, where=str(path), cure=f"pybuild key {cure}")
    key = PrivateKey.generate()
    with disk_errors(public):
        write_atomic(public / f"{key.public.keyid}.pem", key.public.pem)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(path, key.pem, mode=0o600)
    return key.public


def read_public(files: Iterable[Path]) -> dict[str, PublicKey]:
    """The public keys that files have, by ``keyid``.

    Raises:
        SigningError: One of them has none, or can't be read.
    """
    keys = {}
    for file in files:
        try:
            pem = file.read_bytes()
        except OSError as error:
            raise SigningError(
                f"this key can't be read: {error.strerror}", where=str(file), cure="name the file of a public key"
            ) from error
        key = PublicKey.parse(pem, where=str(file))
        keys[key.keyid] = key
    return keys


def kept_keys(directory: Path) -> dict[str, PublicKey]:
    """The public keys of a workspace or an index, by ``keyid``; none where it has none.

    Raises:
        SigningError: A file there has none, or has another than its name says.
    """
    keys: dict[str, PublicKey] = {}
    for file in sorted(directory.glob("*.pem")):
        keys |= read_public([file])
        if file.stem not in keys:
            raise SigningError(
                "this is another key than the file's name says",
                where=str(file),
                cure="restore it, for example with `git checkout`; a key's file is named after the key",
            )
    return keys
