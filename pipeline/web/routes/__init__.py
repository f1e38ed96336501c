"""One FastAPI router for each page, and the JSON API.

May import `services`, `classifiers`, `middleware` and `views`.
"""
