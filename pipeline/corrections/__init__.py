"""Correct, undo and retry: move a file that was filed, with the intent recorded before the file is touched.

May import `files`, the root of `pipeline`, and `db`.
"""
