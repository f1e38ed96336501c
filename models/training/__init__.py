"""`pawsort train`: options, fit, calibrate, export, sweep.

Imports `bundle`, `data`, `evaluation`, `evaluation.metrics`, `evaluation.report`, `inference`, `networks` and
the root of `models`.
"""
