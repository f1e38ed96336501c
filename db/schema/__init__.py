"""Tables, column types, record types.

Imports nothing of Pawsort.
"""
