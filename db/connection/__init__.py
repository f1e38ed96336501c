"""Open, lock and version the database; translate its errors.

Imports `schema`.
"""
