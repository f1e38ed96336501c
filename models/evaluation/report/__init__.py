"""HTML page, plots, gallery, tables and the model card; with `templates/`.

May import `metrics`, `inference`, `data` and what these may import.
"""
