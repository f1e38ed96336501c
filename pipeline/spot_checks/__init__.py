"""Spot checks: draw filed photos at random, record whether they are right, and tell the precision achieved.

Imports `classifier`, `corrections`, `files`, `settings`, `db`, `models` and the root of `pipeline`.
"""
