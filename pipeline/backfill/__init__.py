"""Classify many millions of photos once: lists and results are Parquet files, and Ray hands out the parts.

Imports `classifier`, `companions`, `files`, `settings`, `watch`, `db`, `models` and the root of `pipeline`.
"""
