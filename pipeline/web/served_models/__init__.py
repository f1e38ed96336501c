"""Models that the pages use: a pool of classifier processes, and the figures of each model.

Imports `classifier`, `files`, `learning`, `settings`, `web.middleware`, `web.views`, `db`, `models` and the
root of `pipeline`.
"""
