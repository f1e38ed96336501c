"""The worker as a program: locks and checks, signals, heartbeat, reports beside it.

It never imports `web`, `doctor` or `cli`.
Imports `alerts`, `by_hand`, `classifier`, `corrections`, `files`, `keywords`, `learning`, `office`,
`reports`, `settings`, `spot_checks`, `worker`, `db`, `models` and the root of `pipeline`.
"""
