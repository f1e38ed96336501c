"""HTML page, plots, gallery, tables and the model card; with `templates/`.

Imports `bundle`, `data`, `evaluation.metrics`, `images`, `inference` and the root of `models`.
"""
