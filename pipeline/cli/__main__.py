"""`python -m pipeline.cli`: every command of `pawsort`."""

from pipeline.entry import main

if __name__ == "__main__":
    main()
