"""Labelled photos: folders and tar archives, splits, near-duplicates, batches, augmentation.

Imports `bundle`, `images`, `networks` and the root of `models`.
"""
