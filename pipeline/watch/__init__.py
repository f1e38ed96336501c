"""Notice files in the inboxes, and say when one is complete (section `watch:` of the settings).

May import `files` and the root of `pipeline`.
"""
