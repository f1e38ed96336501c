"""What is remembered: the tables, the ledger's transitions, the queries. Knows no files and no models."""
