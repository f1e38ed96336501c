"""Nightly work of the worker: reports, learning, backups, deletion; a thread for each, woken once a minute.

Imports `reports`, `db`, `models` and the root of `pipeline`.
"""
