"""What routes call: classify an upload, deliver it, thumbnails, models, database, caches.

May import `middleware` and `views`; never a route.
"""
