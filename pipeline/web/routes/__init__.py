"""One FastAPI router for each page, and the JSON API.

May import `services`, `served_models`, `middleware` and `views`.
"""
