"""From a payload to the right to be published: the wheel is sound, installs from our index alone, and imports."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pybuilder import events, record
from pybuilder.clock import new_attempt_id, timestamp
from pybuilder.errors import PybuildError, ValidationError
from pybuilder.files import disk_errors, write_atomic
from pybuilder.metadata import parse_metadata, supports_python
from pybuilder.plan import BUILD_PATH, Root, digest
from pybuilder.resolution import applies
from pybuilder.sandbox import SANDBOX_VERSION, Job, Limits, build_environ
from pybuilder.spec import EffectiveSpec
from pybuilder.stages import Adapters, Made
from pybuilder.timing import timed
from pybuilder.wheel.tags import accepted
from pybuilder.work import work_directory

# Raise it when validation asks for more than it did: everything is then validated again.
VERSION = 2

# One interpreter imports them all, each named before it is tried, so that a crash is named as well.
_IMPORT = """
import importlib, sys
for name in sys.argv[1:]:
    print("import", name, flush=True)
    importlib.import_module(name)
"""


def validate(
    adapters: Adapters, made: Made, spec: EffectiveSpec, closure: Sequence[Made], *, system: Collection[str]
) -> None:
    """Refuse a payload that must not be published.

    Args:
        adapters: The world.
        made: The payload.
        spec: Its spec, for ``[test]``.
        closure: Everything that is installed with it, itself included.
        system: The RPMs that the closure needs, by name or any provide.

    Raises:
        ValidationError: With everything that is wrong.
    """
    root = adapters.roots.for_test(system)
    key = validation_key(adapters, made, spec, closure, root)
    known = adapters.state.validation(key)
    if known and known[0]:
        # The same payload of another attempt, whose record must tell the same.
        kept = _record(adapters, made)
        if kept.is_dir() and not (kept / record.SYSTEM).exists():
            _check_system(adapters, made, spec, closure, system)
        return
    adapters.listen(events.Started(name=made.name, version=str(made.version), phase="validate"))
    now = timestamp(adapters.now())
    try:
        with timed(adapters.listen, name=made.name, version=made.version, phase="validate"):
            _check_wheel(adapters, made)
            _check_closure(adapters, made, closure)
            _check_system(adapters, made, spec, closure, system)
            _try_out(adapters, made, spec, closure, root)
    except ValidationError as error:
        adapters.state.add_validation(key, ok=False, error=error.what, now=now)
        raise
    adapters.state.add_validation(key, ok=True, error="", now=now)


def validation_key(adapters: Adapters, made: Made, spec: EffectiveSpec, closure: Sequence[Made], root: Root) -> str:
    """The digest of everything that can change how a validation ends."""
    return digest(
        {
            "version": VERSION,
            "payload": made.sha256,
            "imports": list(spec.test.imports),
            "commands": list(spec.test.commands),
            "closure": sorted(member.sha256 for member in closure),
            "root": root.digest,
            "target": adapters.target.name,
            "sandbox": SANDBOX_VERSION,
        }
    )


def consistency_problems(
    installed: Mapping[NormalizedName, tuple[Version, Sequence[Requirement]]], markers: Mapping[str, str]
) -> tuple[str, ...]:
    """What ``pip check`` would say of an environment.

    Args:
        installed: By normalised name: the version, and what it requires.
        markers: The target's environment (PEP 508).
    """
    found = []
    for name, (version, requirements) in sorted(installed.items()):
        for requirement in requirements:
            if not applies(requirement, markers, frozenset()):
                continue
            other = installed.get(canonicalize_name(requirement.name))
            if other is None:
                found.append(f"{name} {version} requires {requirement}, which is not installed")
            elif not requirement.specifier.contains(other[0], prereleases=True):
                found.append(f"{name} {version} requires {requirement}, but {other[0]} is installed")
    return tuple(found)


# What reads wheels is imported where it is needed, since most payloads have been validated before.


def _check_wheel(adapters: Adapters, made: Made) -> None:
    from pybuilder.wheel.check import problems
    from pybuilder.wheel.read import open_wheel

    wheel = open_wheel(made.path)
    found = list(problems(made.path, name=made.name, version=made.version))
    if not accepted(wheel.filename.tags, adapters.target.tags):
        found.append(f"its tags {', '.join(wheel.filename.tags)} are not for {adapters.target.name}")
    metadata = parse_metadata(wheel.metadata)
    found += [f"METADATA has a line that can't be read: {line}" for line in metadata.unreadable]
    _refuse(made, found)


def _check_closure(adapters: Adapters, made: Made, closure: Sequence[Made]) -> None:
    from pybuilder.wheel.read import open_wheel

    metadata = {member.name: parse_metadata(open_wheel(member.path).metadata) for member in closure}
    installed = {member.name: (member.version, metadata[member.name].requires_dist) for member in closure}
    found = list(consistency_problems(installed, adapters.target.markers))
    python = adapters.target.full_version
    for name, facts in metadata.items():
        supported = supports_python(facts.requires_python, python)
        if supported is None:
            found.append(f"{name} says Requires-Python: {facts.requires_python}, which is no specifier (PEP 440)")
        elif not supported:
            found.append(f"{name} needs Python {facts.requires_python}, this is {python}")
    _refuse(made, found)


def _check_system(
    adapters: Adapters, made: Made, spec: EffectiveSpec, closure: Sequence[Made], system: Collection[str]
) -> None:
    """Refuse a wheel that needs an RPM which its installation lacks; keep what it needs with its record."""
    from pybuilder.system_requires import WheelNeeds
    from pybuilder.wheel.elf import read_elf

    arch = adapters.target.markers.get("platform_machine", "")
    elf = read_elf(made.path, arch=arch)
    _refuse(made, elf.problems)
    # What nobody needs nobody has to look for.
    beside = (member for member in closure if elf.needs and member.name != made.name)
    others = (read_elf(member.path, arch=arch).provides for member in beside)
    wheel = WheelNeeds(
        package=made.name,
        needs=elf.needs,
        declared=spec.system.runtime,
        system=system,
        beside=frozenset(each for provided in others for each in provided),
    )
    directory = _record(adapters, made)
    account = adapters.roots.compare(wheel, record.read_plan(directory).root)
    write_atomic(directory / record.SYSTEM, record.pretty_json(account.document))
    _refuse(made, account.problems)


def _record(adapters: Adapters, made: Made) -> Path:
    return adapters.layout.record(made.key, made.attempt)


def _refuse(made: Made, found: Sequence[str]) -> None:
    if found:
        raise ValidationError(
            f"{made.name} {made.version} must not be published: " + "; ".join(found),
            where=str(made.path),
            cure="mend it with a patch or [build] settings in its spec, then run the same command again",
        )


def _try_out(adapters: Adapters, made: Made, spec: EffectiveSpec, closure: Sequence[Made], root: Root) -> None:
    """Install it with all it needs into a clean sealed environment, import it, run the spec's commands."""
    # Imported here, since most of what is validated was so before.
    from pybuilder.stages.prepared import check_room

    check_room(adapters.layout)
    steps = _steps(made, spec)
    refs = [member.ref for member in closure]
    environment = adapters.environments.prepare(refs, python=adapters.python, bytecode=False)
    limits = Limits(
        seconds=spec.build.limits.timeout.total_seconds(),
        memory=spec.build.limits.memory,
        cpus=spec.build.limits.cpus,
        # Nothing waits for it but its own publishing, while whoever builds may hold up all that is built with it.
        gives_way=True,
    )
    env = build_environ(source_date_epoch=0, build_dir=BUILD_PATH, extra={})
    with (
        work_directory(adapters.layout, new_attempt_id(adapters.now())) as work,
        adapters.roots.tree(root) as tree,
        disk_errors(work),
    ):
        log = work / "test.log"
        job = Job(
            root=tree,
            environment=environment,
            work=work,
            cwd=BUILD_PATH,
            env=env,
            steps=steps,
            limits=limits,
            log=log,
        )
        outcome = adapters.engine.run(job, answer=lambda event: True)
        kept = _record(adapters, made) / record.TEST_LOG
        log.replace(kept)
    if outcome.failure:
        raise _failed(made, outcome.failure, kept)


def _steps(made: Made, spec: EffectiveSpec) -> tuple[dict[str, object], ...]:
    modules = tuple(spec.test.imports) or importable(made.path)
    imports: list[dict[str, object]] = (
        [{"do": "run", "argv": ["/env/bin/python", "-c", _IMPORT, *modules]}] if modules else []
    )
    commands: list[dict[str, object]] = [
        {"do": "run", "argv": ["/bin/sh", "-exc", command]} for command in spec.test.commands
    ]
    return (*imports, *commands)


def importable(wheel: Path) -> tuple[str, ...]:
    """The top-level modules of a wheel, those of its ``.data`` directories included."""
    from pybuilder.wheel.modules import top_level_modules
    from pybuilder.wheel.read import open_wheel

    opened = open_wheel(wheel)
    data = f"{opened.prefix}.data/"
    names = []
    for entry in opened.entries:
        if entry.name.startswith(data):
            scheme, _, rest = entry.name[len(data) :].partition("/")
            names += [rest] if scheme in ("purelib", "platlib") else []
        elif not entry.name.startswith(f"{opened.dist_info}/"):
            names.append(entry.name)
    return top_level_modules(names)


def _failed(made: Made, failure: str, log: Path) -> PybuildError:
    shown = "".join(f"\n    | {line}" for line in record.last_lines(log))
    error = ValidationError(
        f"{made.name} {made.version} was built but does not work when it is installed: {failure}{shown}",
        where=str(log),
        cure="name other modules in [test] imports, or mend the package; what was built is kept",
    )
    error.attempt, error.log = made.attempt, str(log)
    return error
