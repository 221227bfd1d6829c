"""A bench whose buildroot is made of the test distribution's RPMs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.distribution import BASE, definition, distribution
from tests.support.workspaces import Bench, bench

NAME = "fedora-test"

# An extension module that is linked to libyaml, which no other RPM of the runtime needs.
_C = r"""
#include <Python.h>
#include <yaml.h>
static PyObject *version(PyObject *self, PyObject *none) { return PyUnicode_FromString(yaml_get_version_string()); }
static PyMethodDef methods[] = {{"version", version, METH_NOARGS, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "MODULE", "", -1, methods};
PyMODINIT_FUNC PyInit_MODULE(void) { return PyModule_Create(&module); }
"""

_ACT = """
import subprocess, sysconfig
name = FACTS["name"].replace("-", "_")
with open("x.c", "w") as stream:
    stream.write(SOURCE.replace("MODULE", name))
include = sysconfig.get_path("include", vars={"installed_base": "/usr", "base": "/usr"})
subprocess.run(["gcc", "-shared", "-fPIC", "-I", include, "x.c", "-o", "x.so", "-lyaml"], check=True)
suffix = sysconfig.get_config_var("EXT_SUFFIX")
with open("x.so", "rb") as stream:
    python = "cp" + sysconfig.get_config_var("py_version_nodot")
    result = write_wheel(out, tag=f"{python}-{python}-linux_x86_64", files={name + suffix: stream.read()})
"""

LINKED = f"SOURCE = {_C!r}\n{_ACT}"
"""For ``act``: an extension module that needs libyaml-devel to be built and libyaml to be imported."""


@contextmanager
def fedora_bench(root: Path, *, packages: Sequence[str] = BASE, **options: Any) -> Iterator[Bench]:
    """A bench with ``buildroots/fedora-test.toml``, named in pybuild.toml, its key, and no lock yet."""
    made = distribution()
    with bench(root, **options) as here:
        buildroots = here.workspace / "buildroots"
        made.copy_keys(buildroots)
        (buildroots / f"{NAME}.toml").write_text(definition(made, NAME, packages=packages))
        here.settings(f'buildroot = "{NAME}"\n')
        yield here


def lock(here: Bench) -> None:
    """Lock the buildroot."""
    ran = here.pybuild("buildroot", "lock")
    assert ran.code == 0, ran.stderr
