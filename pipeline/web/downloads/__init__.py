"""Files that a visitor downloads: originals as they are, many of them as a ZIP file, and lists of rows.

Imports `companions`, `export`, `files`, `settings`, `thumbnails`, `web.middleware` and `db`.
"""
