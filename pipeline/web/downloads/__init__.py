"""Files that a visitor downloads: originals as they are, many of them as a ZIP file, and lists of rows.

Imports `companions`, `export`, `files`, `office`, `settings`, `thumbnails`, `web.elsewhere`,
`web.middleware`, `web.services` and `db`.
"""
