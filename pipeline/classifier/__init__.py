"""Classify files in a subprocess: the client in the worker, the server in the subprocess, their messages.

May import `watch`, `files`, the root of `pipeline`, and `models`. Only the subprocess imports TensorFlow.
"""
