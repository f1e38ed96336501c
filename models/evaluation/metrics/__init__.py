"""Figures, intervals, curves, comparison of two models. NumPy only.

Imports no other package of `evaluation`.
"""
