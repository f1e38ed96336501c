"""Compare rows, files and folders; repair what is safe; pack a support bundle.

Imports `classifier`, `companions`, `corrections`, `files`, `relocate`, `settings`, `watch`, `worker`,
`worker.steps`, `db`, `models` and the root of `pipeline`.
"""
