"""``pybuild.toml``: what a workspace says about itself (DESIGN.md, "pybuild.toml"); all of it is optional."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pybuilder.fields import Array, Duration, Table, Url
from pybuilder.names import is_label
from pybuilder.toml import parse, validated


def _label(text: str) -> str:
    if not is_label(text):
        raise ValueError(f"{text!r} is no label; write a lower-case letter, then letters and digits, such as 'pb'")
    return text


class Settings(Table):
    """The settings of a workspace."""

    buildroot: str = Field(default="", description="The buildroot, where -b names none; empty: pybuild chooses.")
    label: Annotated[str, AfterValidator(_label)] = Field(default="pb", description="What stands before the number.")
    state: str = Field(default="", description="The state directory, below the workspace; default: .pybuild.")
    index: Url | None = Field(default=None, description="The upstream index; default: that of pip's or uv's settings.")
    jobs: int | None = Field(default=None, ge=1, description="Builds at a time; default: what the machine can do.")
    cooldown: Duration = Field(
        default="0d", validate_default=True, description="How old an upstream version must be to be taken."
    )
    accept_new: bool = Field(default=False, description="Whether packages without a spec are accepted unseen.")
    rebuild: Literal["never", "security", "monthly"] = Field(
        default="never", description="When a moved buildroot lock rebuilds what is published."
    )
    screen: Literal["allow", "review", "refuse"] = Field(
        default="allow", description="What happens to a source in which compiled objects are found."
    )
    keep: int = Field(default=3, ge=1, description="Last attempts at a package whose payload and inputs gc keeps.")
    notify: Array[Url] = Field(default=(), description="Webhooks that get messages.")


def parse_settings(text: str, file: str) -> Settings:
    """Read a workspace's settings.

    Args:
        text: The text of ``pybuild.toml``.
        file: Its name for messages.

    Raises:
        ConfigError: Lists everything that is wrong with it.
    """
    return validated(parse(text, file), Settings)
