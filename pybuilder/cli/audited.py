"""How ``pybuild audit`` says what it found: as JSON, and as lines for people."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pybuilder.audit import Audit, Check, Everything, Node
from pybuilder.audit.graph import tree_lines
from pybuilder.errors import ReproducibilityError, ValidationError
from pybuilder.printable import printable
from pybuilder.record import Taint, recorded_taints
from pybuilder.screening.account import found_lines

if TYPE_CHECKING:
    from pybuilder.audit.original import Original
    from pybuilder.http import Client
    from pybuilder.workspace import Workspace

_SHOWN = 5  # packages that a line names


def exit_code(found: Sequence[Audit], originals: Sequence[Original]) -> int:
    """How the command ends."""
    if not all(each.ok for each in found):
        return ValidationError.exit_code
    return 0 if all(each.same for each in originals) else ReproducibilityError.exit_code


# JSON.


def document(found: Sequence[Audit], originals: Sequence[Original]) -> dict[str, Any]:
    """What was found of some wheels."""
    said: dict[str, Any] = {"ok": all(each.ok for each in found), "wheels": [_facts(each) for each in found]}
    if originals:
        said["upstream"] = [_original_facts(each) for each in originals]
    return said


def _facts(found: Audit) -> dict[str, Any]:
    evidence, graph = found.evidence, found.graph
    account, plan = evidence.account, evidence.plan
    content = evidence.content
    return {
        "build": _build(found),
        "wheel": evidence.filename,
        "wheel_sha256": content.sha256 if content else None,
        "payload_sha256": evidence.payload or None,
        "key": evidence.key or None,
        "attempt": account.attempt if account else None,
        "started": account.started if account else None,
        "engine": account.engine if account else None,
        "sealed": bool(account and account.sealed),
        "tools": account.document.get("tools", {}) if account else {},
        "source": account.document["source"] if account else None,
        "patches": account.document["patches"] if account else [],
        "environment": account.document["environment"] if account else [],
        "prebuilt": (account.prebuilt or None) if account else None,
        "screening": account.document.get("screening") if account else None,
        "tainted": [taint.as_json for taint in _taints(found)],
        "root": {
            "kind": plan.root.kind,
            "digest": plan.root.digest,
            "rpms": plan.root.contents.get("rpms", []),
        }
        if plan
        else None,
        "signed": {"by": evidence.vouched.by, "keyid": evidence.vouched.keyid or None},
        "checks": [_check_facts(check) for check in graph.top.checks],
        "tree": [_node_facts(node) for node in graph.nodes.values()],
    }


def _build(found: Audit) -> str:
    evidence = found.evidence
    channel = evidence.account.document.get("channel", "") if evidence.account else ""
    return f"{channel}/{evidence.name}=={evidence.version}" if channel else f"{evidence.name}=={evidence.version}"


def _check_facts(check: Check) -> dict[str, Any]:
    return {"what": check.what, "ok": not check.problem, "problem": check.problem}


def _node_facts(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "version": node.version,
        "wheel": node.evidence.filename if node.evidence else None,
        "payload_sha256": node.payload,
        "built_with": list(node.below),
        "seed": node.seed,
        "tainted_by": [flag.kind for flag in node.flags],
        "problems": [_check_facts(check) for check in node.problems],
    }


def _taints(found: Audit) -> tuple[Taint, ...]:
    """Upstream's wheels that had a part in it, as its record says."""
    account = found.evidence.account
    return recorded_taints(account.document) if account else ()


def all_document(found: Everything, where: str, seconds: float) -> dict[str, Any]:
    """What was found of an index."""
    return {
        "ok": not found.problems,
        "index": where,
        "wheels": len(found.wheels),
        "seconds": round(seconds, 3),
        "tainted_by": found.flagged(),
        "problems": [{"where": where, "what": check.what, "problem": check.problem} for where, check in found.problems],
    }


# Lines.


def lines(found: Sequence[Audit], originals: Sequence[Original]) -> Iterator[str]:
    """What was found of some wheels, as a person reads it."""
    said = [line for each in found for line in _wheel_lines(each)]
    said += [line for each in originals for line in _original_lines(each)]
    return map(printable, said)


def _wheel_lines(found: Audit) -> Iterator[str]:
    evidence = found.evidence
    yield _build(found)
    yield f"  wheel    {evidence.filename}"
    if evidence.content:
        yield f"           sha256 {evidence.content.sha256}"
        yield f"  payload  sha256 {evidence.payload or 'none: its number can not be taken off'}"
    yield from _record_lines(found)
    yield f"  signed   by {evidence.vouched.by} {evidence.vouched.keyid}".rstrip()
    for taint in _taints(found):
        yield f"  tainted: {taint.sentence}"
    for kind, nodes in found.graph.flagged().items():
        if kind != "prebuilt":
            yield f"  tainted: {kind}: {_listed(f'{node.name} {node.version}' for node in nodes)}"
    yield "  built with, down to the seeds:"
    yield from (f"    {line}" for line in tree_lines(found.graph, _marks))
    yield from _root_lines(found)
    yield from _check_lines(found)


def _marks(node: Node) -> Iterator[str]:
    """What stands behind a package in the tree."""
    account = node.evidence.account if node.evidence else None
    if account and account.prebuilt:
        yield "seed: upstream's wheel"
    elif node.seed:
        yield "seed: its source alone"
    yield from (flag.kind for flag in node.flags if flag.kind != "prebuilt")
    if node.problems:
        yield "WRONG"


def _record_lines(found: Audit) -> Iterator[str]:
    evidence = found.evidence
    account = evidence.account
    if account is None:
        return
    yield f"  key      {evidence.key or account.key}"
    known = account.document.get("tools", {})
    tools = ", ".join(f"{name} {version}" for name, version in sorted(known.items())) if isinstance(known, dict) else ""
    if account.prebuilt:
        yield f"  taken    {account.started}, upstream's wheel, nothing was built, {tools}"
    else:
        sealed = "sealed" if account.sealed else "not sealed"
        yield f"  built    {account.started}, engine {account.engine}, {sealed}, {tools}"
    yield f"  source   {account.source.file}  {account.source.origin}".rstrip()
    yield f"           sha256 {account.source.sha256}"
    for patch in account.patches:
        yield f"  patch    {patch.file}  sha256 {patch.sha256}"
    for line in _screening_lines(account.document.get("screening")):
        yield f"  found    {line}"
    for each in account.environment:
        yield f"  with     {each.name} {each.version}  payload {each.payload}"


def _screening_lines(screening: Any) -> list[str]:
    """What was found in the source; the record may be a stranger's."""
    try:
        return list(found_lines(screening))
    except (AttributeError, KeyError, TypeError):
        return ["something, but what its record says of that can't be read"]


def _root_lines(found: Audit) -> Iterator[str]:
    plan = found.evidence.plan
    if plan is None:
        return
    yield f"  root     {plan.root.kind} {plan.root.digest}"
    for rpm in plan.root.contents.get("rpms", ()):
        signed = f"signed by {rpm['key']}" if rpm.get("key") else "not signed"
        yield f"    {rpm['name']}-{rpm['evra']}  sha256 {rpm['sha256']}  {signed}"


def _check_lines(found: Audit) -> Iterator[str]:
    """The wheel's own checks one by one, and of what built it those that found something."""
    top = found.graph.top
    for check in top.checks:
        yield f"  {'WRONG' if check.problem else 'ok'}: {check.what}{check.problem and ': ' + check.problem}"
    others = [node for node in found.graph.nodes.values() if node.payload != top.payload]
    for node in others:
        for check in node.problems:
            yield f"  WRONG: {node.name} {node.version}: {check.what}: {check.problem}"
    if others:
        sound = sum(not node.problems for node in others)
        yield f"  {'ok' if sound == len(others) else 'WRONG'}: {sound} of {len(others)} wheels that built it are sound"


def all_lines(found: Everything, where: str, seconds: float) -> Iterator[str]:
    """What was found of an index, as a person reads it."""
    for place, check in found.problems:
        yield printable(f"{place}: {check.what}: {check.problem}")
    for kind, count in found.flagged().items():
        yield f"tainted: {kind}: {count} of {len(found.wheels)} wheels"
    state = f"{len(found.problems)} problems" if found.problems else "sound"
    yield printable(f"{where}: {len(found.wheels)} wheels, {state}, {seconds:.1f} s")


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


# Upstream's own wheels.


def originals(
    found: Sequence[Audit], client: Client, scratch: Path, workspace: Workspace | None
) -> tuple[Original, ...]:
    """Each wheel against upstream's own.

    Raises:
        PybuildError: One of them can't be compared.
    """
    # Asking an index takes a second to import: only for those who ask.
    from pybuilder.audit.original import against_upstream
    from pybuilder.upstream import Upstream

    url = str(workspace.settings.index or "") if workspace else ""
    upstream = Upstream(client=client, url=url, environ=os.environ)
    return tuple(
        against_upstream(each.shelf, each.file, upstream=upstream, client=client, scratch=scratch) for each in found
    )


def _original_facts(found: Original) -> dict[str, Any]:
    return {
        "wheel": found.wheel,
        "upstream": {"wheel": found.upstream[0], "sha256": found.upstream[1]},
        "same": found.same,
        "differ": [change.name for change in found.changes],
    }


def _original_lines(found: Original) -> Iterator[str]:
    from pybuilder.audit.original import of_tools

    yield f"{found.wheel} against upstream's {found.upstream[0]}"
    yield f"           sha256 {found.upstream[1]}"
    for change in found.changes:
        how = "only ours" if change.before is None else "only upstream's" if change.after is None else "differs"
        yield f"  {how}: {change.name}{' (what the backend writes of itself)' if of_tools(change) else ''}"
    yield f"  {'the same files' if found.same else 'NOT the same files'}"
