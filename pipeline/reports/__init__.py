"""Nightly CSV reports: pandas writes them, APScheduler starts them.

Imports `files`, `db` and the root of `pipeline`.
"""
