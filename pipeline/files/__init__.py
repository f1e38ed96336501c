"""Filesystem primitives: open without following links, rename without overwriting, copy, sync, free names.

Knows no database and no settings.
Imports the root of `pipeline`.
"""
