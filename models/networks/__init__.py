"""Keras architectures and their training recipes; `tf_runtime` is the one place that sets TensorFlow up.

May import `bundle`, `images` and the root of `models`.
"""
