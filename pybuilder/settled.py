"""What has become of the packages of a tree, in this run or before it."""

from __future__ import annotations

from collections.abc import MutableMapping

from pybuilder.errors import PybuildError
from pybuilder.packages import Packages
from pybuilder.stages.publish import Outcome
from pybuilder.tree import Package, Tree


def settled(
    tree: Tree, package: Package, packages: Packages, outcomes: MutableMapping[Package, Outcome]
) -> Outcome | None:
    """What has become of a package; None where something is to be done.

    Args:
        tree: The tree that it is in; those that were asked for are told when they are found published.
        package: The package.
        packages: What is known of packages.
        outcomes: What is known already; what is found is added.
    """
    made = packages.made
    known = outcomes.get(package)
    if known is not None and known.made == made.get(package):
        return known
    closure = tree.nodes[package].closure
    if not made.keys() >= {package, *closure}:
        return None
    if numbered := packages.numbered(package):
        known = Outcome(made=made[package], number=numbered[1], minted=False)
    else:
        try:
            known = packages.published_before(made[package], [made[member] for member in closure])
        except PybuildError:
            # Publishing it meets the same, and tells it.
            return None
    if known is not None:
        outcomes[package] = known
        if package in {top.package for top in tree.tops}:
            packages.tell(known)
    return known
