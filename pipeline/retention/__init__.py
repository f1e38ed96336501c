"""Delete what nothing depends on after so many days: reports, rows of photos that are gone, failed files.

Imports `companions`, `corrections`, `files`, `reports`, `settings`, `db` and the root of `pipeline`.
"""
