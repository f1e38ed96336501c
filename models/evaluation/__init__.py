"""`pawsort evaluate`: measure bundles on labelled photos that did not train them.

Imports `bundle`, `data`, `evaluation.metrics`, `evaluation.report`, `inference` and the root of `models`.
"""
