"""The last layer: fit it to features, calibrate it, and put it into a network.

Imports `bundle`, `inference`, `networks`, `training` and the root of `models`.
"""
