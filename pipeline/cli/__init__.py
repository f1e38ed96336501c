"""The commands, one file for each group, with their output and progress.

A command imports TensorFlow, pandas or the web framework only if it needs them.
Imports `classifier`, `corrections`, `doctor`, `export`, `files`, `learning`, `originals`, `reports`, `setup`,
`spot_checks`, `web`, `web.served_models`, `worker`, `db`, `models` and the root of `pipeline`.
"""
