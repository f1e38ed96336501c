"""Keras architectures and their training recipes; only `tf_runtime` sets TensorFlow up.

Imports the root of `models`.
"""
