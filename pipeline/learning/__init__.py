"""Learn from what people said of photos: versions of the configured model, and when one is learnt.

Imports `files`, `nightly`, `reports`, `settings`, `db`, `models` and the root of `pipeline`.
"""
