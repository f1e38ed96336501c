"""Browse: the page, actions on many photos, the view of one, downloads, exports; also in the API.

Imports `corrections`, `export`, `settings`, `thumbnails`, `web.downloads`, `web.middleware`, `web.routes`,
`web.sent`, `web.services`, `web.views`, `db` and the root of `pipeline`.
"""
