"""What a published index has of its wheels: read once, digested, and handed to whoever judges."""

from __future__ import annotations

import hashlib
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from pybuilder import clock
from pybuilder.audit.evidence import Account, Check, Content, Damaged, Evidence, Vouched, attempt_id, parse_plan
from pybuilder.audit.judge import patch_path
from pybuilder.errors import BuildError, PybuildError, UsageError, ValidationError
from pybuilder.files import disk_errors, sha256_file
from pybuilder.index.pages import File, PageError, parse_project_json, parse_root_json
from pybuilder.index.reader import Reader
from pybuilder.names import any_number, normalize
from pybuilder.plan import Ingredient, Plan
from pybuilder.provenance import BILL, Provenance, read_statement
from pybuilder.record import LOG, PLAN, RECORD
from pybuilder.signing import SUFFIX, Envelope, PublicKey, parse_envelope, signer
from pybuilder.wheel.check import problems
from pybuilder.wheel.filename import WheelName
from pybuilder.wheel.numbering import strip

_KEYID = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """Whose signatures count.

    Attributes:
        keys: The keys that are trusted, by ``keyid``; where there are none, those in the index serve, which is told.
        demanded: Whether a wheel that none of them has signed is wrong, rather than tainted.
    """

    keys: Mapping[str, PublicKey]
    demanded: bool = False


@dataclass(kw_only=True)
class Shelf:
    """An index as an audit reads it; may be used from several threads.

    Args:
        reader: Reads it.
        trust: Whose signatures count.
        scratch: A directory for what is taken apart.
        now: The clock.
    """

    reader: Reader
    trust: Trust
    scratch: Path
    now: Callable[[], datetime] = clock.now
    _pages: dict[str, tuple[File, ...]] = field(default_factory=dict, init=False, repr=False)
    _evidence: dict[str, Evidence] = field(default_factory=dict, init=False, repr=False)
    _statements: dict[str, bytes | None] = field(default_factory=dict, init=False, repr=False)
    _sources: dict[str, str | None] = field(default_factory=dict, init=False, repr=False)
    _reading: dict[str, threading.Lock] = field(default_factory=dict, init=False, repr=False)

    def projects(self) -> tuple[NormalizedName, ...]:
        """The projects that the index lists.

        Raises:
            ValidationError: The list is damaged.
            UsageError: There is no index.
        """
        path = "simple/index.json"
        data = self.reader.read(path)
        if data is None:
            raise UsageError(
                f"there is no index: it has no {path}", where=self.reader.where, cure="name one of pybuild's"
            )
        try:
            return parse_root_json(data)
        except PageError as error:
            raise self._damaged(path, str(error)) from error

    def wheels(self, project: NormalizedName) -> tuple[File, ...]:
        """The wheels that a project's page lists, oldest version first; none where it has no page.

        Raises:
            ValidationError: The page is damaged.
        """
        return self._page(f"simple/{project}/index.json", project)

    def _page(self, path: str, project: NormalizedName) -> tuple[File, ...]:
        if path not in self._pages:
            data = self.reader.read(path)
            try:
                self._pages[path] = parse_project_json(data, project) if data is not None else ()
            except PageError as error:
                raise self._damaged(path, str(error)) from error
        return self._pages[path]

    def _damaged(self, path: str, what: str) -> ValidationError:
        cure = "`pybuild index refresh` where it was published; mirror it again elsewhere"
        return ValidationError(f"{path} {what}", where=self.reader.where, cure=cure)

    def evidence(self, file: File, *, content: Path | None = None, unpack: bool = True) -> Evidence:
        """All that there is of a wheel.

        Args:
            file: As its page lists it.
            content: The wheel itself, where it is another file than the index has.
            unpack: Whether to look into it also where a trusted key vouches for its digest and its payload.
        """
        if content is not None:
            return _Reading(self, file).evidence(content, unpack=unpack)
        known = self._evidence.get(file.filename)
        if known is None or (unpack and known.content and not known.content.unpacked):
            known = self._evidence[file.filename] = _Reading(self, file).evidence(None, unpack=unpack)
        return known

    def find(self, wanted: Ingredient) -> Evidence | None:
        """What there is of a wheel with this payload, the newest of several.

        A wheel whose provenance names another payload is not opened, and one that a trusted key vouches for is not
        unpacked: taking apart all that built a wheel would take minutes.
        """
        for file in reversed(self._of_version(wanted)):
            claim = self.claim(file)
            # One that claims it is the one that is meant, also where it was changed since: its own checks tell.
            if claim is None or claim.payload_sha256 == wanted.payload:
                found = self.evidence(file, unpack=False)
                if claim is not None or found.payload == wanted.payload:
                    return found
        return None

    def _of_version(self, wanted: Ingredient) -> list[File]:
        try:
            version = Version(wanted.version)
            wheels = self.wheels(normalize(wanted.name))
        except (InvalidVersion, UsageError):
            return []
        return [file for file in wheels if (split := any_number(Version(file.version))) and split[0] == version]

    def claim(self, file: File) -> Provenance | None:
        """What a wheel's provenance says, whoever says it; None where nothing can be read."""
        try:
            _, claim = self.statement(file)
        except ValidationError:
            return None
        return claim

    def statement(self, file: File) -> tuple[Envelope, Provenance] | tuple[None, None]:
        """The envelope beside a wheel and what its Statement says; None where there is none.

        Raises:
            ValidationError: It is no envelope of a Statement.
        """
        path = f"files/{file.filename}{SUFFIX}"
        if path not in self._statements:
            self._statements[path] = self.reader.read(path)
        data = self._statements[path]
        if data is None:
            return None, None
        envelope = parse_envelope(data, where=path)
        return envelope, read_statement(envelope.payload, where=path)

    def index_keys(self, envelope: Envelope) -> dict[str, PublicKey]:
        """The keys that an index has of those that are said to have signed something.

        Raises:
            PybuildError: One of them is damaged.
        """
        found = {}
        for keyid in {each.keyid for each in envelope.signatures if _KEYID.match(each.keyid)}:
            path = f"keys/{keyid}.pem"
            data = self.reader.read(path)
            if data is not None:
                key = PublicKey.parse(data, where=path)
                found[key.keyid] = key
        return found

    def source(self, project: NormalizedName, sha256: str) -> str | None:
        """The digest that the source archive with a listed digest really has; None where it is not there."""
        if sha256 not in self._sources:
            listed = self._page(f"sources/simple/{project}/index.json", project)
            names = [file.filename for file in listed if file.sha256 == sha256]
            self._sources[sha256] = self.digest(f"sources/files/{names[0]}") if names else None
        return self._sources[sha256]

    def digest(self, path: str) -> str | None:
        """The digest of a file of the index; None where it is not there."""
        # Wheels of one payload have one record: nobody may remove what another reads.
        with self._reading.setdefault(path, threading.Lock()):
            file = self.reader.file(path)
            if file is None:
                return None
            try:
                with disk_errors(file):
                    return sha256_file(file)
            finally:
                self.reader.forget(path)

    def key(self, file: File) -> str:
        """The digest of the plan in a wheel's record; empty where that can't be read."""
        reading, claim = _Reading(self, file), self.claim(file)
        wheel = self.reader.file(f"files/{file.filename}") if claim is None else None
        record = reading.record(claim, self.content(wheel) if wheel else None)
        return reading.documents(record)[2] if record else ""

    def content(self, wheel: Path) -> Content:
        """What a wheel's bytes say."""
        payload, wrong = "", tuple[str, ...]()
        with disk_errors(wheel):
            try:
                name = WheelName.parse(wheel.name)
                wrong = problems(wheel, name=name.name, version=name.version)
                with self.stripped(wheel) as (_, digest):
                    payload = digest
            except (BuildError, ValidationError) as error:
                wrong = wrong or (error.what,)
            return Content(sha256=sha256_file(wheel), payload=payload, problems=wrong)

    @contextmanager
    def stripped(self, wheel: Path) -> Iterator[tuple[Path, str]]:
        """The payload that a wheel is made of, under its own name, and its digest; gone afterwards.

        Raises:
            BuildError: It is no sound wheel.
            ValidationError: It carries no number.
        """
        name = WheelName.parse(wheel.name)
        split = any_number(name.version)
        version, label = (split[0], split[1]) if split else (name.version, "")
        payload = f"{replace(name, version=version).prefix}-{name.tag}.whl"
        with tempfile.TemporaryDirectory(dir=self.scratch) as directory, disk_errors(self.scratch):
            path = Path(directory, payload)
            yield path, strip(wheel, path, label=label)


@dataclass(slots=True)
class _Reading:
    """One wheel being read; what can't be is noted."""

    shelf: Shelf
    file: File
    faults: list[Check] = field(default_factory=list)

    def evidence(self, content: Path | None, *, unpack: bool) -> Evidence:
        shelf, file = self.shelf, self.file
        vouched, claim = self._provenance()
        trusted = claim if vouched.by == "a trusted key" and not unpack else None
        held = self._content(content, trusted)
        record = self.record(claim, held)
        account, plan, key, files = self.documents(record) if record else (None, None, "", {})
        if account:
            wanted = [f"{record}/{LOG}", *(f"{record}/{patch_path(patch)}" for patch in account.patches)]
            files |= self._digests(record, [*wanted, *(claim.record if claim else ())], files)
        if claim and claim.bill:
            files |= [self._digest(f"files/{file.filename}{BILL}")]
        project = canonicalize_name(file.filename.partition("-")[0])
        return Evidence(
            filename=file.filename,
            name=project,
            version=file.version,
            listed=file.sha256,
            content=held,
            vouched=vouched,
            claim=claim,
            account=account,
            plan=plan,
            key=key,
            record=record,
            files=files,
            source=shelf.source(project, account.source.sha256) if account and not account.prebuilt else None,
            faults=tuple(self.faults),
            read=shelf.now(),
        )

    def _content(self, other: Path | None, trusted: Provenance | None) -> Content | None:
        """What the wheel's bytes say; the Statement of a trusted key spares looking into those that it is about."""
        wheel = f"files/{self.file.filename}"
        path = other or self.shelf.reader.file(wheel)
        if path is None:
            self._fault("the wheel is there", "it is missing, though its page lists it")
            return None
        try:
            if trusted:
                with disk_errors(path):
                    digest = sha256_file(path)
                if digest == trusted.wheel_sha256:
                    return Content(sha256=digest, payload=trusted.payload_sha256, problems=(), unpacked=False)
            return self.shelf.content(path)
        finally:
            self.shelf.reader.forget(wheel)

    def _fault(self, what: str, problem: str) -> None:
        self.faults.append(Check(what=what, problem=problem))

    def _provenance(self) -> tuple[Vouched, Provenance | None]:
        """Who vouches for the wheel, and what is said of it."""
        try:
            envelope, claim = self.shelf.statement(self.file)
        except ValidationError as error:
            self._fault("its provenance can be read", error.what)
            return Vouched(by="nobody"), None
        if envelope is None:
            if any(suffix == SUFFIX for suffix, _ in self.file.beside):
                self._fault("its provenance is there", "it is missing, though the wheel's page lists it")
            return self._unsigned("it has no provenance"), None
        if not envelope.signatures:
            return self._unsigned("it is not signed"), claim
        return self._signer(envelope), claim

    def _unsigned(self, why: str) -> Vouched:
        return Vouched(by="nobody", problem=why if self.shelf.trust.demanded else "")

    def _signer(self, envelope: Envelope) -> Vouched:
        trusted, where = self.shelf.trust.keys, self.file.filename + SUFFIX
        try:
            keys = trusted or self.shelf.index_keys(envelope)
            key = signer(envelope, keys, where=where)
        except PybuildError as error:
            return Vouched(by="a wrong key", problem=error.what)
        return Vouched(by="a trusted key" if trusted else "a key from the index itself", keyid=key.keyid)

    def record(self, claim: Provenance | None, held: Content | None) -> str:
        """Where the wheel's record lies: where its provenance says, or where its payload does."""
        try:
            if claim:
                return f"records/{claim.payload_sha256}/{attempt_id(claim.attempt)}"
        except Damaged as error:
            self._fault("its record is there", str(error))
            return ""
        payload = held.payload if held else ""
        attempts = self.shelf.reader.names(f"records/{payload}") if payload else ()
        if attempts:
            # Of several that made the same payload, the last that had begun when this wheel was published.
            stamp = f"{self.file.upload_time:%Y%m%dT%H%M%S}~"
            begun = [attempt for attempt in attempts if attempt < stamp] or attempts[:1]
            return f"records/{payload}/{max(begun)}"
        unknown = "without provenance nobody can say where it is"
        self._fault("its record is there", unknown if attempts is None else "the index has none for its payload")
        return ""

    def documents(self, record: str) -> tuple[Account | None, Plan | None, str, dict[str, str]]:
        account = plan = None
        key = ""
        read = {
            name: data for name in (RECORD, PLAN) if (data := self.shelf.reader.read(f"{record}/{name}")) is not None
        }
        for name in (RECORD, PLAN):
            if name not in read:
                self._fault("its record is there", f"{record}/{name} is missing")
        try:
            account = Account.parse(read[RECORD]) if RECORD in read else None
        except Damaged as error:
            self._fault("its record can be read", f"{RECORD}: {error}")
        try:
            plan, key = parse_plan(read[PLAN]) if PLAN in read else (None, "")
        except Damaged as error:
            self._fault("its plan can be read", f"{PLAN}: {error}")
        files = {f"{record}/{name}": hashlib.sha256(data).hexdigest() for name, data in read.items()}
        return account, plan, key, files

    def _digests(self, record: str, paths: list[str], known: Mapping[str, str]) -> dict[str, str]:
        """Digests of files of the record. Some of their names are a stranger's: none may lead elsewhere."""
        return dict(self._digest(path) for path in dict.fromkeys(paths) if path not in known and _below(record, path))

    def _digest(self, path: str) -> tuple[str, str]:
        return path, self.shelf.digest(path) or "missing"


def _below(record: str, path: str) -> bool:
    parts = path.removeprefix(f"{record}/").split("/")
    sound = all(part not in ("", ".", "..") and part.isprintable() for part in parts)
    return sound and path.startswith(f"{record}/")
