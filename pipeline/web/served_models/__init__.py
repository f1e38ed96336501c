"""Models that the pages use: a pool of classifier processes, and the figures of each model.

May import `middleware` and `views`; never a route or `services`.
"""
