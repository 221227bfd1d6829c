"""``pybuild audit``: where a wheel came from, and whether all that is kept of it agrees."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from pybuilder import audit as audits
from pybuilder.cli.completion import complete_names
from pybuilder.cli.options import Options
from pybuilder.cli.session import open_layout, open_workspace
from pybuilder.cli.show import find_attempt
from pybuilder.errors import UsageError, ValidationError
from pybuilder.names import BuildName, split_number
from pybuilder.screening.account import found_lines
from pybuilder.state import PublishedWheel, State
from pybuilder.store import Store


@click.command()
@click.argument("build", metavar="BUILD|WHEEL", shell_complete=complete_names)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def audit(options: Options, build: str, as_json: bool) -> int:
    """Verify a published BUILD, or a WHEEL file, and print where it came from: source, patches, payloads, RPMs."""
    workspace = open_workspace(options)
    layout, label = open_layout(options, workspace), workspace.settings.label
    file = Path(build) if build.endswith(".whl") else None
    if file and not file.is_file():
        raise UsageError(f"there is no file {build}")
    with contextlib.closing(State.open(layout)) as state:
        wheels = [audits.published_as(file, state, label)] if file else _wheels(build, state, label)
    found = [audits.audit(wheel, layout=layout, store=Store(layout), file=file) for wheel in wheels]
    if as_json:
        print(json.dumps({"ok": all(each.ok for each in found), "wheels": list(map(_facts, found))}, indent=2))
    else:
        for each in found:
            print("\n".join(_lines(each)))
    return 0 if all(each.ok for each in found) else ValidationError.exit_code


def _wheels(text: str, state: State, label: str) -> list[PublishedWheel]:
    """The published wheels that a person means: those of one number, or those of an attempt's payload.

    Raises:
        UsageError: There are none.
    """
    name = BuildName.parse(text) if state.attempt(text) is None else None
    numbered = split_number(name.version, label) if name and name.version else None
    attempt = find_attempt(text, state, label)
    wheels = [
        wheel
        for wheel in state.published_anywhere(attempt.name)
        if (
            (wheel.version, wheel.number) == (str(numbered[0]), numbered[1])
            if numbered
            else wheel.attempt == attempt.id
        )
        and wheel.channel == attempt.channel
    ]
    if not wheels:
        raise UsageError(f"nothing that {text!r} made is published", cure=f"pybuild show {attempt.name}")
    newest = max(wheel.number for wheel in wheels)
    return [wheel for wheel in wheels if wheel.number == newest]


def _facts(found: audits.Audit) -> dict[str, Any]:
    record, plan, wheel = found.record, found.plan, found.wheel
    return {
        "build": found.build,
        "wheel": wheel.wheel,
        "wheel_sha256": wheel.wheel_sha256,
        "payload_sha256": wheel.payload,
        "key": wheel.key,
        "attempt": wheel.attempt,
        "started": record["started"],
        "engine": record["engine"],
        "sealed": bool(record["seal"]),
        "tools": record["tools"],
        "source": record["source"],
        "patches": record["patches"],
        "environment": record["environment"],
        "prebuilt": record.get("prebuilt"),
        "screening": record.get("screening"),
        "tainted": [taint.as_json for taint in found.taints],
        "root": {"kind": plan.root.kind, "digest": plan.root.digest, "rpms": plan.root.contents.get("rpms", [])},
        "checks": [{"what": each.what, "ok": not each.problem, "problem": each.problem} for each in found.checks],
    }


def _lines(found: audits.Audit) -> Iterator[str]:
    facts = _facts(found)
    source, root = facts["source"], facts["root"]
    tools = ", ".join(f"{name} {version}" for name, version in sorted(facts["tools"].items()))
    yield found.build
    yield f"  wheel    {facts['wheel']}"
    yield f"           sha256 {facts['wheel_sha256']}"
    yield f"  payload  sha256 {facts['payload_sha256']}"
    yield f"  key      {facts['key']}"
    sealed = "sealed" if facts["sealed"] else "not sealed"
    if facts["prebuilt"]:
        yield f"  taken    {facts['started']}, upstream's wheel, nothing was built, {tools}"
    else:
        yield f"  built    {facts['started']}, engine {facts['engine']}, {sealed}, {tools}"
    for taint in found.taints:
        yield f"  tainted: {taint.sentence}"
    yield f"  source   {source['file']}  {source['origin']}".rstrip()
    yield f"           sha256 {source['sha256']}"
    for patch in facts["patches"]:
        yield f"  patch    {patch['file']}  sha256 {patch['sha256']}"
    for line in found_lines(facts["screening"]):
        yield f"  found    {line}"
    for each in facts["environment"]:
        yield f"  with     {each['name']} {each['version']}  payload {each['payload_sha256']}"
    yield f"  root     {root['kind']} {root['digest']}"
    for rpm in root["rpms"]:
        signed = f"signed by {rpm['key']}" if rpm["key"] else "not signed"
        yield f"    {rpm['name']}-{rpm['evra']}  sha256 {rpm['sha256']}  {signed}"
    for check in facts["checks"]:
        yield f"  {'ok' if check['ok'] else 'WRONG'}: {check['what']}{check['problem'] and ': ' + check['problem']}"
