"""Browse: the page, actions on many photos, the view of one, downloads and exports, also of the API.

Imports `corrections`, `export`, `settings`, `thumbnails`, `web.downloads`, `web.middleware`, `web.routes`,
`web.services`, `web.views`, `db` and the root of `pipeline`.
"""
