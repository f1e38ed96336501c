"""Small pictures of photos, drawn in a process of their own: for the pages and the nightly page.

Imports `classifier`, `files`, `settings`, `db` and `models`.
"""
