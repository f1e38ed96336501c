"""The schema's history; `REVISIONS` lists it oldest first, so that a version is judged without Alembic."""

REVISIONS = ("0001", "0002", "0003", "0004")
