"""A build backend (PEP 517) that ships inside test sdists and does what ``tiny.json`` beside it says.

Standard library only, and no import of anything else: it runs in the sandbox, with an empty environment.
"""

import base64
import hashlib
import json
import os
import zipfile

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "tiny.json")) as stream:
    FACTS = json.load(stream)


def write_wheel(directory, name=None, version=None, tag="py3-none-any", files=None, record="", filename=""):
    """A wheel of one module; returns its file name.

    ``record`` replaces RECORD, ``files`` the module; a file is text or bytes.
    """
    name, version = name or FACTS["name"], version or FACTS["version"]
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}", *FACTS["metadata"]]
    if FACTS["requires_python"]:
        metadata.append(f"Requires-Python: {FACTS['requires_python']}")
    entries = {
        **({f"{module}.py": FACTS["module"]} if files is None else files),
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tiny\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    entries = {path: text if isinstance(text, bytes) else text.encode() for path, text in entries.items()}
    lines = [f"{path},sha256={digest(data)},{len(data)}\n" for path, data in entries.items()]
    entries[f"{info}/RECORD"] = (record or "".join(lines) + f"{info}/RECORD,,\n").encode()
    filename = filename or f"{module}-{version}-{tag}.whl"
    with zipfile.ZipFile(os.path.join(directory, filename), "w") as archive:
        for path, data in entries.items():
            archive.writestr(path, data)
    return filename


def digest(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def say_hook(name):
    """Tell the log, and whoever looks into the tree later, that a hook runs."""
    print("hook", name, flush=True)
    with open("hooks.txt", "a") as stream:
        stream.write(f"{name}\n")


def get_requires_for_build_wheel(config_settings=None):
    say_hook("requires")
    return FACTS["dynamic"]


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    say_hook("wheel")
    scope = {"write_wheel": write_wheel, "out": wheel_directory, "settings": config_settings, "FACTS": FACTS}
    exec(FACTS.get("act", ""), scope)
    return scope["result"] if "result" in scope else write_wheel(wheel_directory)
