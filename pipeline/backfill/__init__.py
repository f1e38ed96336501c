"""Classify many millions of photos once: lists and results are Parquet files, and Ray hands out the parts.

Imports `backfill.storage`, `classifier`, `companions`, `files`, `originals`, `settings`, `watch`, `worker`,
`worker.steps`, `db`, `models` and the root of `pipeline`.
"""
