"""``pybuild graph``: the tree that was planned last."""

from __future__ import annotations

import json

import click

from pybuilder.cli.options import Options
from pybuilder.cli.places import channel_name, open_layout, open_workspace
from pybuilder.errors import UsageError
from pybuilder.estimates import wall_seconds
from pybuilder.sandbox.processors import usable
from pybuilder.tree_dot import tree_dot
from pybuilder.tree_files import tree_json, why_json
from pybuilder.tree_reader import Graph, parse_graph
from pybuilder.tree_svg import tree_svg
from pybuilder.tree_text import plan_lines
from pybuilder.tree_text import why as why_lines


@click.group()
def graph() -> None:
    """The tree that bootstrap planned last: what is in it, and why."""


@graph.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def show(options: Options, as_json: bool) -> None:
    """The tree and the order in which it is built."""
    planned = _last(options)
    if as_json:
        print(json.dumps(tree_json(planned.tree, planned.statuses, planned.estimates), indent=2))
        return
    todo = {p: planned.estimates.get(p, 0.0) for p, s in planned.statuses.items() if s in ("new", "depends")}
    wall = wall_seconds(planned.tree, todo, len(usable()))
    for line in plan_lines(planned.tree, planned.statuses, planned.estimates, wall=wall, cpu=sum(todo.values())):
        print(line)


@graph.command()
@click.argument("name", metavar="NAME")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def why(options: Options, name: str, as_json: bool) -> None:
    """Why a package is in the tree."""
    tree = _last(options).tree
    if as_json:
        print(json.dumps(why_json(tree, name), indent=2))
        return
    for line in why_lines(tree, name):
        print(line)


@graph.command()
@click.pass_obj
def dot(options: Options) -> None:
    """The tree for Graphviz."""
    planned = _last(options)
    print(tree_dot(planned.tree, planned.statuses), end="")


@graph.command()
@click.pass_obj
def svg(options: Options) -> None:
    """The tree as a picture."""
    planned = _last(options)
    print(tree_svg(planned.tree, planned.statuses, planned.estimates), end="")


def _last(options: Options) -> Graph:
    workspace = open_workspace(options)
    channel = channel_name(options, workspace)
    path = open_layout(options, workspace).plan(channel)
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError as error:
        raise UsageError(
            f"nothing has been planned for {channel}", where=str(path), cure="pybuild bootstrap --plan REQ..."
        ) from error
    return parse_graph(text, str(path))
