"""The commands, one file for each group. Slow imports (TensorFlow, pandas, the web server) are lazy.

Imports `alerts`, `backfill`, `backup`, `classifier`, `cli.printing`, `corrections`, `doctor`, `export`,
`files`, `learning`, `office`, `originals`, `relocate`, `requests`, `retention`, `service`, `settings`,
`setup`, `spot_checks`, `web`, `web.served_models`, `worker`, `db`, `models` and the root of `pipeline`.
"""
