"""Rendering: Jinja templates, formatting, texts, charts and Markdown; with `templates/` and `static/`.

Imports `classifier`, `requests`, `db` and the root of `pipeline`.
"""
