"""Screening: what lies in a source besides text that a person can read, and what advisories say of its version."""
