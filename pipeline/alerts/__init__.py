"""Alerts through Apprise: what is wrong with the worker, once, and its end; a ping while all is well.

Imports `files`, `reports`, `settings`, `worker`, `db`, `models` and the root of `pipeline`.
"""
