"""Conditions of searches that both `listing` and `browse` have: by folder, by name, by worker.

Imports `connection` and `schema`.
"""
