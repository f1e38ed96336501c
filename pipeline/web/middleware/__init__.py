"""Runs before every route: checks of host, origin and token, body limits, conditional requests, errors.

Imports `corrections`, `files`, `settings`, `web.views`, `db`, `models` and the root of `pipeline`.
"""
