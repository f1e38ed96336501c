"""Export filed photos into folders of their labels, which `train` takes, with a list of them.

Imports `classifier`, `companions`, `files`, `reports`, `settings`, `db`, `models` and the root of `pipeline`.
"""
