"""``pybuild.toml``: what a workspace says about itself (DESIGN.md, "pybuild.toml"); all of it is optional."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pybuilder.fields import Array, Duration, OwnName, Reason, Sha256, Table, Url, left_out, url
from pybuilder.names import is_label
from pybuilder.toml import parse, validated


def _label(text: str) -> str:
    if not is_label(text):
        raise ValueError(f"{text!r} is no label; write a lower-case letter, then letters and digits, such as 'pb'")
    return text


def _address(text: str) -> str:
    try:
        return url(text, ("https", "http", "amqps", "amqp"))
    except ValueError:
        # It may have a secret in it, and this is printed.
        wanted = "a URL that begins with https://, http://, amqps:// or amqp:// and names a host"
        raise ValueError(f"messages can't be sent there; write {wanted}") from None


Address = Annotated[str, AfterValidator(_address)]
"""Where messages go."""

Policy = Literal["allow", "review", "refuse"]
"""What happens to a source in which something is found: it is only told, it waits for a person, it is not used."""


class Exempt(Table):
    """What somebody has looked at and taken for good."""

    package: OwnName = Field(description="The package that it is found in.")
    sha256: Array[Sha256] = Field(
        default=(), description="Digests of files that are found, or of a source or patch for all that is in it."
    )
    advisories: Array[str] = Field(default=(), description="Ids of advisories, or their aliases.")
    reason: Reason = Field(description="Why; it is kept in every record.")

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.sha256 and not self.advisories:
            raise ValueError('this names nothing that is found; write sha256 = ["…"] or advisories = ["…"]')
        return self


class Screen(Table):
    """What happens to a source by what is found in it, and by what is known of its version."""

    compiled: Policy = Field(default="allow", description="Compiled code in the source, whatever its name.")
    archive: Policy = Field(default="allow", description="Archives in the source.")
    advisory: Policy = Field(default="allow", description="Advisories that the version is affected by.")
    advisories: str = Field(
        default="", description="A dump of OSV records: a zip file or a directory; the path starts from the workspace."
    )
    exceptions: Array[Exempt] = Field(default=(), description="What somebody has looked at and taken for good.")

    @model_validator(mode="after")
    def _has_advisories(self) -> Self:
        if self.advisory != "allow" and not self.advisories:
            raise ValueError(
                f"advisory = '{self.advisory}' has nothing to go by; name a dump of OSV records: advisories = \"FILE\""
            )
        return self


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
    screen: Screen = Field(
        default_factory=left_out(Screen), description="What happens to sources by what is found in them."
    )
    keep: int = Field(default=3, ge=1, description="Last attempts at a package whose payload and inputs gc keeps.")
    notify: Array[Address] = Field(
        default=(), description="Webhooks (http, https) and message brokers (amqp, amqps) that get messages."
    )


def parse_settings(text: str, file: str) -> Settings:
    """Read a workspace's settings.

    Args:
        text: The text of ``pybuild.toml``.
        file: Its name for messages.

    Raises:
        ConfigError: Lists everything that is wrong with it.
    """
    return validated(parse(text, file), Settings)
