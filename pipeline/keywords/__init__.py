"""Write the answer into the XMP sidecar of a filed photo, where other programs show it as a keyword.

Imports `companions`, `files`, `db` and the root of `pipeline`.
"""
