"""Compare rows, files and folders; repair what is safe; pack a support bundle.

May import `worker`, `corrections`, `classifier`, `watch`, `reports`, `files` and `db`.
"""
