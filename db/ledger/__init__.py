"""Every write: state transitions, moves, imports.

May import `connection` and `schema`.
"""
