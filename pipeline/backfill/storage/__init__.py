"""Where a backfill reads and writes: folders on a disk, and prefixes of S3.

Imports `files`, `models` and the root of `pipeline`.
"""
