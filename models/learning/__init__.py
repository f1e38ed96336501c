"""Learn from photos that people judged, which come as plain rows: fit, compare, write a version.

Imports `bundle`, `data`, `evaluation`, `evaluation.metrics`, `evaluation.report`, `images`, `inference`,
`learning.fitting`, `networks`, `training` and the root of `models`.
"""
