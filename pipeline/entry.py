"""The entry point of every command: make the import path safe before anything else is imported."""

import io
import os
import sys

from pipeline import import_path


def main() -> None:
    """Run the command that the command line names."""
    _open_standard_streams()
    import_path.secure()
    if not _ends_with_parent():
        return
    from models.quick_imports import uncollected

    with uncollected():
        from pipeline.cli.app import main as run

    run()


def _open_standard_streams() -> None:
    """Open what the caller has closed of stdin, stdout and stderr; let stdout take every character.

    Otherwise the next file that is opened, such as a photo, would be what libraries and children print to.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As stderr does: a terminal in Latin-1 cannot show every name.
        sys.stdout.reconfigure(errors="backslashreplace")


def _ends_with_parent() -> bool:
    """Return False if this process was started to end with a parent that has already ended."""
    # `processes.PARENT_VARIABLE`, spelled out so that commands of a user do not import that module for it.
    parent = os.environ.pop("PAWSORT_PARENT_PID", "")
    if not parent.isdecimal():
        return True
    import signal

    from pipeline.processes import end_with_parent

    return end_with_parent(int(parent), signal.SIGTERM)
