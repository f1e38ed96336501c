"""Correct, undo and retry: move a file that was filed, with the intent recorded before the file is touched.

May import `classifier` (the configured model), `files`, the root of `pipeline`, and `db`.
"""
