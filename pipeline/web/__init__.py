"""Web pages and JSON API: a process beside the worker, without TensorFlow; neither needs or stops the other.

routes -> sent -> downloads -> metrics -> services -> elsewhere -> served_models -> middleware -> views.
Imports `files`, `learning`, `settings`, `web.metrics`, `web.middleware`, `web.routes`, `web.routes.browse`,
`web.routes.learning`, `web.served_models`, `web.services`, `web.views`, `db` and the root of `pipeline`.
"""
