"""Classify files in a subprocess: the client in the worker, the server in the subprocess, their messages.

Only the subprocess imports TensorFlow.
Imports `companions`, `files`, `learning`, `settings`, `watch`, `db`, `models` and the root of `pipeline`.
"""
