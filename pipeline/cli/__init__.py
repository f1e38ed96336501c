"""The commands, one file for each group. Slow imports (TensorFlow, pandas, the web server) are lazy.

Imports `alerts`, `backup`, `classifier`, `corrections`, `doctor`, `export`, `files`, `learning`, `office`,
`originals`, `relocate`, `reports`, `requests`, `retention`, `service`, `settings`, `setup`, `spot_checks`,
`web`, `web.served_models`, `worker`, `worker.steps`, `db`, `models` and the root of `pipeline`.
"""
