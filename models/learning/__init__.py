"""Learn from photos that people judged, which come as plain rows: fit, compare, write a version.

Imports `bundle`, `data`, `evaluation.metrics`, `evaluation.report`, `images`, `inference`,
`learning.fitting`, `networks` and the root of `models`.
"""
