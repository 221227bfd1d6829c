"""Getting sources: from an index, from git, from a URL, from the workspace; verified, and stored by digest."""

from pybuilder.sources.fetch import Fetched, Sources, Wanted, WantedWheel
from pybuilder.sources.scm import scm_env, tell_versioningit

__all__ = ["Fetched", "Sources", "Wanted", "WantedWheel", "scm_env", "tell_versioningit"]
