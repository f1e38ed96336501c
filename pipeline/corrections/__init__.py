"""Correct, undo and retry: move a filed file, with the intent recorded before the file is touched.

Imports `classifier`, `companions`, `files`, `keywords`, `originals`, `settings`, `db`, `models` and the root
of `pipeline`.
"""
