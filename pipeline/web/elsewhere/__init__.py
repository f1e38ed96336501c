"""Pictures and originals of other machines' files: in a folder that is shared, or by the owner's pages.

Imports `files`, `settings`, `thumbnails` and `db`.
"""
