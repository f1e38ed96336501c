"""What routes call: classify and deliver uploads, draw thumbnails, correct files, open the database, cache.

May import `served_models`, `middleware` and `views`; never a route.
"""
