"""The published index of a channel: a Simple API tree of static files (DESIGN.md, "the index")."""

from pybuilder.index.pages import File
from pybuilder.index.planning import Release, Source
from pybuilder.index.publish import Index
from pybuilder.index.refresh import Refreshed

__all__ = ["File", "Index", "Refreshed", "Release", "Source"]
