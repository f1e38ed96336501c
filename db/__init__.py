"""The database: connection, schema, the ledger's writes, queries. Knows no files and no models.

queries, ledger -> connection, schema.
"""
