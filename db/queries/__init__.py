"""Every read.

Imports `connection`, `ledger` and `schema`.
"""
