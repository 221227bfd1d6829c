"""The published trees over HTTP."""
