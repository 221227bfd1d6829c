"""A hermetic builder of Python wheels."""

__version__ = "0.1.0"
