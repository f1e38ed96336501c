"""Open, lock and version the database; translate its errors.

May import `schema`.
"""
