"""Requests that these pages sent to the workers of other machines: those that wait, and their states.

Imports `requests`, `web.middleware`, `web.services`, `web.views` and `db`.
"""
