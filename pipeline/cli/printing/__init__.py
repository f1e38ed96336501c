"""What commands print: rows on stdout, progress on stderr.

Imports `reports`, `worker.steps`, `models` and the root of `pipeline`.
"""
