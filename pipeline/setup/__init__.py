"""Make a new installation: its settings and folders.

Imports `settings`, `worker` and the root of `pipeline`.
"""
