"""Alerts: say what is wrong with the worker, once, and its end, through Apprise; a sign while all is well.

Imports `files`, `reports`, `settings`, `worker`, `db`, `models` and the root of `pipeline`.
"""
