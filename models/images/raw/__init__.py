"""RAW photos: recognise them, read their header, and get a picture from them by LibRaw.

Imports `images.formats` and the root of `models`.
"""
