"""One FastAPI router for each page, and the JSON API.

Imports `corrections`, `files`, `reports`, `requests`, `settings`, `spot_checks`, `thumbnails`,
`web.downloads`, `web.elsewhere`, `web.metrics`, `web.middleware`, `web.sent`, `web.served_models`,
`web.services`, `web.views`, `worker`, `db`, `models` and the root of `pipeline`.
"""
