"""Every read.

May import `connection` and `schema`.
"""
