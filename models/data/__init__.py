"""Labelled photos: folders and tar archives, splits, near-duplicates, batches, augmentation.

May import `networks`, `bundle`, `images` and the root of `models`.
"""
