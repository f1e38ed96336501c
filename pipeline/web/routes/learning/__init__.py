"""Learning and versions of the model: their part of the page Models, a page for each version, and the API.

Imports `learning`, `web.middleware`, `web.routes`, `web.served_models`, `web.services`, `web.views`, `db`,
`models` and the root of `pipeline`.
"""
