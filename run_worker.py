#!/usr/bin/env python3
"""The door: `python run_worker.py` runs the worker, and takes every command that `pawsort` takes."""

import os
import sys

if __name__ == "__main__":
    # Python leaves this folder off its path when it is told to (-P), and PYTHONPATH may name others first.
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
    from pipeline.entry import main

    main()
