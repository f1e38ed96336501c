"""Requests to the worker that owns a file: asked on another machine, carried out by that worker.

Imports `corrections`, `settings`, `spot_checks`, `db` and the root of `pipeline`.
"""
