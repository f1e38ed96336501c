"""The commands, one file for each group, with their output and progress.

May import every package. A command imports TensorFlow, pandas or the web framework only if it needs them.
"""
