"""Services of the routes: classify and deliver uploads, draw thumbnails, correct files, open the database.

Imports `classifier`, `companions`, `corrections`, `files`, `learning`, `requests`, `settings`, `spot_checks`,
`thumbnails`, `watch`, `web.elsewhere`, `web.middleware`, `web.served_models`, `worker`, `db`, `models` and
the root of `pipeline`.
"""
