"""`pawsort evaluate`: measure bundles on labelled photos that did not train them.

May import `inference`, `data` and what these may import; evaluate -> report -> metrics.
"""
