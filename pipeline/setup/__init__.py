"""Make a new installation: its settings and folders.

Imports `worker` and the root of `pipeline`.
"""
