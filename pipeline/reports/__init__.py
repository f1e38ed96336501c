"""Nightly CSV reports: pandas writes them, APScheduler starts them.

May import `files`, the root of `pipeline`, and `db`.
"""
