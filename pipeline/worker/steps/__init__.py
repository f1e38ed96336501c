"""The steps of a file in the worker: take in, claim, classify and place; and what they hold meanwhile.

Imports `classifier`, `companions`, `corrections`, `files`, `originals`, `settings`, `watch`, `db`, `models`
and the root of `pipeline`.
"""
