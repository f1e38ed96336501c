"""One FastAPI router for each page, and the JSON API.

May import `services`, `middleware` and `views`.
"""
