"""Nightly CSV reports: pandas writes them, APScheduler starts them.

Imports `files`, `db`, `models` and the root of `pipeline`.
"""
