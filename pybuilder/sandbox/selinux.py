"""Labels that let containers use our trees, on machines with SELinux; confinement itself is never switched off."""

from __future__ import annotations

import os
from pathlib import Path

_STATUS = Path("/sys/fs/selinux/enforce")
_ATTRIBUTE = "security.selinux"
# Without categories: several containers may read the same root.
_LABEL = b"system_u:object_r:container_file_t:s0"


def let_containers_use(tree: Path) -> None:
    """Label a tree for containers, unless it is; whatever is made in it later inherits its directory's label.

    Args:
        tree: A directory of ours, made if it isn't there.

    Raises:
        OSError: The policy does not let us.
    """
    if not _STATUS.exists():
        return
    tree.mkdir(parents=True, exist_ok=True)
    if os.getxattr(tree, _ATTRIBUTE).rstrip(b"\0") == _LABEL:
        return
    # The top comes last: it says that all of it is done.
    for directory, _, files in os.walk(tree, topdown=False):
        for path in (*(os.path.join(directory, name) for name in files), directory):
            os.setxattr(path, _ATTRIBUTE, _LABEL + b"\0", follow_symlinks=False)
