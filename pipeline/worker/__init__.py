"""The service: startup checks, main loop, the steps claim, classify and place, recovery, heartbeat, status.

It never imports `web`, `doctor` or `cli`.
Imports `by_hand`, `classifier`, `companions`, `corrections`, `files`, `keywords`, `learning`, `office`,
`originals`, `reports`, `settings`, `spot_checks`, `watch`, `db`, `models` and the root of `pipeline`.
"""
