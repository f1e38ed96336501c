"""The worker as a program: locks, checks, signals, heartbeat, nightly work. It never imports `web` or `cli`.

Imports `alerts`, `backup`, `by_hand`, `classifier`, `corrections`, `files`, `keywords`, `learning`,
`nightly`, `office`, `relocate`, `reports`, `requests`, `retention`, `settings`, `spot_checks`, `worker`,
`worker.steps`, `db`, `models` and the root of `pipeline`.
"""
