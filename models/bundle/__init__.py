"""The saved model: manifest, weights, load and save.

May import `images` and the root of `models`.
"""
