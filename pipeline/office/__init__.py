"""Reports for an office, made from the finished CSV files: for Excel, and a page for a mail.

Imports `classifier`, `files`, `reports`, `settings`, `thumbnails`, `db`, `models` and the root of `pipeline`.
"""
