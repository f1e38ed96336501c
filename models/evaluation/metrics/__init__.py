"""Figures, intervals, curves, comparison of two models. NumPy only.

Imports `bundle`, `data`, `images`, `images.formats` and the root of `models`.
"""
