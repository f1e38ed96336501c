#!/usr/bin/env python3
"""The door: `python run_worker.py` runs the worker, and takes every command that `pawsort` takes."""

from pipeline.cli import main

if __name__ == "__main__":
    main()
