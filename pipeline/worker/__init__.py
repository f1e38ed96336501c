"""The worker: its main loop, the steps claim, classify and place, recovery, heartbeat, status.

It never imports `service`, `web`, `doctor` or `cli`.
Imports `by_hand`, `classifier`, `companions`, `corrections`, `files`, `learning`, `originals`, `reports`,
`settings`, `spot_checks`, `watch`, `db`, `models` and the root of `pipeline`.
"""
