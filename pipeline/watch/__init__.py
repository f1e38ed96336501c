"""Notice files in the inboxes, and say when one is complete (section `watch:` of the settings).

Imports `companions`, `files`, `settings`, `db` and `models`.
"""
