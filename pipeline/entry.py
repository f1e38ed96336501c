"""The entry point of every command: make the import path safe before anything else is imported."""

import os

from pipeline import import_path


def main() -> None:
    """Run the command that the command line names."""
    import_path.secure()
    if not _ends_with_parent():
        return
    from models.quick_imports import uncollected

    with uncollected():
        from pipeline.cli.app import main as run

    run()


def _ends_with_parent() -> bool:
    """Return False if this process was started to end with a parent that has already ended."""
    # `processes.PARENT_VARIABLE`, spelled out so that commands of a user do not import that module for it.
    parent = os.environ.pop("PAWSORT_PARENT_PID", "")
    if not parent.isdecimal():
        return True
    import signal

    from pipeline.processes import end_with_parent

    return end_with_parent(int(parent), signal.SIGTERM)
