"""Web pages and JSON API: a process beside the worker; neither needs or stops the other.

routes -> downloads -> services -> served_models -> middleware -> views; TensorFlow runs only in subprocesses.
Imports `files`, `learning`, `settings`, `web.middleware`, `web.routes`, `web.routes.browse`,
`web.routes.learning`, `web.served_models`, `web.services`, `web.views`, `db` and the root of `pipeline`.
"""
