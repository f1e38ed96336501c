"""Rendering: Jinja templates, formatting, texts, charts and Markdown; with `templates/` and `static/`.

Imports no other package of `web`.
"""
