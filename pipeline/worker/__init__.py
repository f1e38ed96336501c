"""The worker: its main loop, recovery, locks, heartbeat, counters and status; `steps` are those of a file.

It never imports `service`, `web`, `doctor` or `cli`.
Imports `by_hand`, `classifier`, `companions`, `corrections`, `files`, `learning`, `originals`, `reports`,
`settings`, `spot_checks`, `watch`, `worker.steps`, `db`, `models` and the root of `pipeline`.
"""
