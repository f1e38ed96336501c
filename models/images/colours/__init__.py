"""Bring the colours of a picture to sRGB: find what its file says of them, and convert by LittleCMS.

Imports `images.formats`.
"""
