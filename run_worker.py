#!/usr/bin/env python3
"""`python run_worker.py` is the same as `pawsort`: it runs the worker, or the given command."""

import os
import sys

if __name__ == "__main__":
    # With -P, this folder is not on the import path; with PYTHONPATH, others come first.
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
    from pipeline.entry import main

    main()
