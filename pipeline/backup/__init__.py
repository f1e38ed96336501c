"""Back up what Pawsort remembers into one file, keep a number of such files, and restore one.

Imports `files`, `learning`, `reports`, `settings`, `worker`, `db` and the root of `pipeline`.
"""
