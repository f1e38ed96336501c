"""The pages and the API: a process of its own beside the worker, which neither needs nor stops the other.

It reads the same settings, asks the database, and leaves moving files to `pipeline.filing` and
`pipeline.corrections`. TensorFlow is never imported here: photos are classified in child processes.
"""
