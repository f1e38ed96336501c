"""Filesystem primitives: open without following links, rename without overwriting, copy, sync, free names.

Knows no database.
Imports `settings` and the root of `pipeline`.
"""
