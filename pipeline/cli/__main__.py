"""`python -m pipeline.cli`: every command of `pawsort`."""

from pipeline.cli.app import main

if __name__ == "__main__":
    main()
