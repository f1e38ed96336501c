"""The database: connection, schema, the ledger's writes, queries. Knows no files and no models.

ledger, queries -> connection, schema.
"""
