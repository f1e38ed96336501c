"""Keep a photo and the files that belong to it together: sidecars, the RAW, the film of a Live Photo.

Imports `files`, `settings`, `db` and the root of `pipeline`.
"""
