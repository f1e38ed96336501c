"""The service: startup checks, main loop, the steps claim, classify and place, recovery, heartbeat, status.

May import `corrections`, `classifier`, `watch`, `reports`, `files` and `db`; never `web`, `doctor` or `cli`.
"""
