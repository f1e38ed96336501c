"""The saved model: manifest, weights, load and save.

Imports the root of `models`.
"""
