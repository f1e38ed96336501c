"""From bytes to pixels: recognise the format, check the header, decode, resize.

Imports `images.colours`, `images.formats` and `images.raw`.
"""
