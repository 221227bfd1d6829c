"""What runs ``pybuild cron`` by itself, made from how it was called: systemd units, an OpenShift manifest."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from pybuilder import __version__
from pybuilder.cli.options import Options
from pybuilder.cli.places import choose_buildroot, open_layout, open_workspace
from pybuilder.cronjob import manifest
from pybuilder.units import Job, units

_NOT_CARRIED = ("print_units", "print_manifest", "as_json", "dry_run")


def print_units(options: Options, command: click.Command, typed: Mapping[str, Any]) -> int:
    """Print the systemd units that run a command as it was typed.

    Args:
        options: The global options.
        command: The command.
        typed: The values of its options.
    """
    print(units(_job(options, command, typed)), end="")
    return 0


def print_manifest(options: Options, command: click.Command, typed: Mapping[str, Any]) -> int:
    """Print the OpenShift manifest that runs a command as it was typed; arguments as those of ``print_units``."""
    print(manifest(_job(options, command, typed), version=__version__), end="")
    return 0


def _job(options: Options, command: click.Command, typed: Mapping[str, Any]) -> Job:
    workspace = open_workspace(options)
    layout = open_layout(options, workspace)
    user = pwd.getpwuid(os.geteuid())
    buildroot = choose_buildroot(options, workspace)
    return Job(
        workspace=workspace.root.resolve(),
        state=layout.root,
        program=_program(),
        options=_global(options),
        arguments=carried(command, typed),
        user=user.pw_name,
        uid=user.pw_uid,
        home=Path(user.pw_dir),
        engine=workspace.buildroot(buildroot.name).engine,
        max_time=typed.get("max_time"),
    )


def carried(command: click.Command, typed: Mapping[str, Any]) -> tuple[str, ...]:
    """The options of a command as they were typed, but for those that say what to print."""
    words: list[str] = []
    for parameter in command.params:
        value = typed.get(parameter.name or "")
        if not isinstance(parameter, click.Option) or parameter.name in _NOT_CARRIED or value is None or value is False:
            continue
        words.append(max(parameter.opts, key=len))
        if not parameter.is_flag:
            words.append(f"{int(value.total_seconds())}s" if isinstance(value, timedelta) else str(value))
    return tuple(words)


def _global(options: Options) -> tuple[str, ...]:
    chosen = {"--buildroot": options.buildroot, "--variant": options.variant}
    return tuple(word for name, value in chosen.items() if value for word in (name, value))


def _program() -> tuple[str, ...]:
    """How we were called: by the console script, or by Python."""
    script = Path(sys.argv[0])
    if script.name == "pybuild" and os.access(script, os.X_OK):
        return (str(script.absolute()),)
    return (sys.executable, "-m", "pybuilder.cli")
