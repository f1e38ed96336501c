"""Run the worker for `make run`, which calls each exit code but 0 an error: say first what it means.

    python -m scripts.make_run [ARGUMENTS OF pawsort]

A stop that the user asked for ends with 0. Other codes stay; `make` itself then ends with 2.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

STOPPED = {128 + number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)}

MEANINGS = {
    1: "done, but some files failed, or something could not be read or written",
    2: "the command line or a setting is wrong",
    3: "the model cannot be used",
    4: "the database cannot be used",
    5: "another worker uses these folders",
    6: "no part of a backfill has finished for a long time",
}


def explained(code: int) -> tuple[int, str]:
    """Return the exit code for `make`, and a line about it, which is empty for success."""
    if code == 0 or code in STOPPED:
        return 0, ""
    meaning = MEANINGS.get(code, "see the message above")
    return (
        code,
        f"pawsort: exit code {code}: {meaning}; make calls this an error:",
    )


def main() -> None:
    """Run the command of the command line."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from pipeline.entry import main as run

    try:
        run()
    except SystemExit as end:
        code, line = explained(end.code if isinstance(end.code, int) else int(end.code is not None))
        if line:
            print(line, file=sys.stderr)
        sys.exit(code)


if __name__ == "__main__":
    main()
