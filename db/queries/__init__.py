"""Every read.

Imports `connection`, `ledger`, `queries.search` and `schema`.
"""
