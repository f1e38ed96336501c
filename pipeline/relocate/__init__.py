"""Let all rows follow folders that were moved, and keep a second worker away from where they were.

Imports `companions`, `files`, `settings`, `worker`, `db` and the root of `pipeline`.
"""
