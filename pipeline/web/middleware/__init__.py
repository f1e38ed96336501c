"""Runs before every route: checks of host, origin and token, body limits, conditional requests, errors.

May import `views`, and what `web` may import.
"""
