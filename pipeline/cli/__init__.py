"""The commands, one file for each group, with their output and progress.

A command imports TensorFlow, pandas or the web framework only if it needs them.
Imports `classifier`, `corrections`, `doctor`, `files`, `learning`, `reports`, `web`, `web.served_models`,
`worker`, `db`, `models` and the root of `pipeline`.
"""
