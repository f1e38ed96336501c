"""The metrics: collect them from the worker's files and the database, and write them for Prometheus.

Imports `reports`, `settings`, `web.services`, `worker`, `db` and the root of `pipeline`.
"""
