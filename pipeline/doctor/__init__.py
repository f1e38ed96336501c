"""Compare rows, files and folders; repair what is safe; pack a support bundle.

May import `worker`, `corrections`, `reports`, `files` and `db`.
"""
