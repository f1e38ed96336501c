"""From bytes to pixels: recognise the format, check the header, decode, resize.

Imports `images.formats`.
"""
