"""CSV reports of days, months and years, written by pandas, and drift.

Imports `files`, `db` and the root of `pipeline`.
"""
