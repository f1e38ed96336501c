"""Every write: state transitions, moves, imports.

Imports `connection` and `schema`.
"""
