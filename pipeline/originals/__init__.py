"""Take files by copy or link and leave the originals as they are; remember which were taken.

Imports `companions`, `files`, `settings`, `db` and the root of `pipeline`.
"""
