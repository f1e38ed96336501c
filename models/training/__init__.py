"""`pawsort train`: options, fit, calibrate, export, sweep.

May import every other package of `models`.
"""
