"""One module for each file format: recognise it, read its header, correct what its decoder gets wrong.

Imports the root of `models`.
"""
