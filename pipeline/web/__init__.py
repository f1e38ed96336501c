"""Web pages and JSON API: a process beside the worker; neither needs or stops the other.

server -> app -> routes -> services -> middleware -> views. TensorFlow is never imported here: classifier
subprocesses classify the photos.
"""
