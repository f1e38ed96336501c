"""Templates, formatting, phrases, charts, Markdown; with `templates/` and `static/`.

Imports no other package of `web`.
"""
