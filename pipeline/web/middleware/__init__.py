"""What runs before every route: checks of host, origin and token, limits of bodies, error responses.

May import `views` and what `web` may import.
"""
