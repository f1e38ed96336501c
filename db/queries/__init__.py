"""Every read.

Imports `connection` and `schema`.
"""
