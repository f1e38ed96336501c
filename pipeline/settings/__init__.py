"""Settings: what `config.yaml` and the environment may say, with limits and messages.

Imports `db`, `models` and the root of `pipeline`.
"""
