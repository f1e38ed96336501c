"""`python -m pipeline.cli` is the same as `pawsort`."""

from pipeline.entry import main

if __name__ == "__main__":
    main()
