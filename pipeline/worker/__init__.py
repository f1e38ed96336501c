"""The service: startup checks, main loop, the steps claim, classify and place, recovery, heartbeat, status.

It never imports `web`, `doctor` or `cli`.
Imports `classifier`, `corrections`, `files`, `learning`, `reports`, `watch`, `db`, `models` and the root of
`pipeline`.
"""
