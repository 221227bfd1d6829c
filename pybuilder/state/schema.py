"""The tables."""

from __future__ import annotations

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE pins (
    name TEXT NOT NULL, version TEXT NOT NULL, pin TEXT NOT NULL, first_seen TEXT NOT NULL,
    PRIMARY KEY (name, version)) WITHOUT ROWID;
CREATE TABLE facts (
    kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE attempts (
    id TEXT PRIMARY KEY, key TEXT NOT NULL, recipe TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL,
    channel TEXT NOT NULL, target TEXT NOT NULL, engine TEXT NOT NULL, state TEXT NOT NULL, owner TEXT NOT NULL,
    started TEXT NOT NULL, seconds REAL, phase TEXT, error TEXT, sealed INTEGER NOT NULL DEFAULT 0,
    payload TEXT, filename TEXT) WITHOUT ROWID;
CREATE INDEX attempts_by_key ON attempts (key, state);
CREATE INDEX attempts_by_name ON attempts (name, version);
CREATE INDEX attempts_running ON attempts (state) WHERE state = 'running';
CREATE TABLE floors (
    label TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (label, name, version)) WITHOUT ROWID;
CREATE TABLE builds (
    label TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL, number INTEGER NOT NULL, channel TEXT NOT NULL,
    started TEXT NOT NULL, PRIMARY KEY (label, name, version, number)) WITHOUT ROWID;
CREATE TABLE wheels (
    label TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL, number INTEGER NOT NULL, target TEXT NOT NULL,
    channel TEXT NOT NULL, wheel TEXT NOT NULL, wheel_sha256 TEXT NOT NULL, payload TEXT NOT NULL,
    key TEXT NOT NULL, recipe TEXT NOT NULL, attempt TEXT NOT NULL, published TEXT NOT NULL, visible INTEGER NOT NULL,
    PRIMARY KEY (label, name, version, number, target)) WITHOUT ROWID;
CREATE INDEX wheels_by_channel ON wheels (channel, name, version, number);
CREATE TABLE validations (
    key TEXT PRIMARY KEY, ok INTEGER NOT NULL, error TEXT NOT NULL, finished TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE review (
    name TEXT NOT NULL, requirement TEXT NOT NULL, wanted_by TEXT NOT NULL, first_seen TEXT NOT NULL,
    PRIMARY KEY (name, requirement, wanted_by)) WITHOUT ROWID;
CREATE TABLE channels (channel TEXT PRIMARY KEY, label TEXT NOT NULL) WITHOUT ROWID;
"""
