"""Peak memory of pybuild while a 1 GB sdist becomes a 1 GB wheel in the index (issue 2: at most 150 MB).

Run: ``python -m tests.benchmarks.bench_memory [DIR]``; DIR needs 8 GB. The index it fetches from is on loopback. The
figure is the kernel's VmHWM of the pybuild process alone: what runs in the sandbox is not pybuild's memory.
"""

import random
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.support.upstream import serve

SIZE = 1 << 30

BACKEND = """
import base64, hashlib, os, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "big-1.0-py3-none-any.whl"
    lines = []
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        def add(path, source):
            digest = hashlib.sha256()
            size = 0
            with open(source, "rb") as stream, wheel.open(path, "w", force_zip64=True) as out:
                while data := stream.read(1 << 20):
                    digest.update(data)
                    size += len(data)
                    out.write(data)
            value = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
            lines.append(f"{path},sha256={value},{size}")
        for path, source in (("big/__init__.py", "init.py"), ("big/data.bin", "data.bin"),
                             ("big-1.0.dist-info/METADATA", "PKG-INFO"), ("big-1.0.dist-info/WHEEL", "WHEEL")):
            add(path, source)
        record = "\\n".join([*lines, "big-1.0.dist-info/RECORD,,", ""])
        wheel.writestr("big-1.0.dist-info/RECORD", record)
    return name
"""

RUN = """
import sys
from pybuilder.cli.main import main
code = main(sys.argv[1:])
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).strip(), file=sys.stderr)
sys.exit(code)
"""


def big_sdist(directory: Path) -> None:
    """An sdist that holds 1 GB, half of which deflates away, and a backend that puts it into a wheel."""
    source = directory / "big-1.0"
    source.mkdir()
    block = random.Random(1).randbytes(1 << 19) + bytes(1 << 19)
    with (source / "data.bin").open("wb") as stream:
        for _ in range(SIZE >> 20):
            stream.write(block)
    (source / "init.py").write_text("")
    (source / "PKG-INFO").write_text("Metadata-Version: 2.2\nName: big\nVersion: 1.0\n")
    (source / "WHEEL").write_text("Wheel-Version: 1.0\nGenerator: own\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    (source / "backend.py").write_text(BACKEND)
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (directory / "index").mkdir()
    with tarfile.open(directory / "index" / "big-1.0.tar.gz", "w:gz", compresslevel=1) as tar:
        tar.add(source, "big-1.0")


def measure(directory: Path) -> None:
    big_sdist(directory)
    workspace = directory / "workspace"
    (workspace / "specs").mkdir(parents=True)
    (workspace / "buildroots").mkdir()
    (workspace / "buildroots" / "host.toml").write_text('name = "host"\nengine = "host"\n')
    (workspace / "specs" / "big.toml").write_text('name = "big"\n')
    with serve(directory / "index") as upstream:
        (workspace / "pybuild.toml").write_text(f'index = "{upstream.index}"\n')
        command = [sys.executable, "-c", RUN, "-w", str(workspace), "build", "big"]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if sys.argv[1:] else None) as name:
        measure(Path(name))
