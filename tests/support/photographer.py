"""File the tree of a photographer with each action, and compare it before and after: `make photographer`.

    python -m tests.support.photographer [--files 5000] [--actions move,copy,hardlink,symlink]

Prints a table; its last five columns must be 0. The classifier is a stub.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from db.schema.file_names import escape, unescape
from tests.support.installation import Installation
from tests.support.oracle import beside, digest, read
from tests.support.photographer_tree import Tree, make_tree

ACTIONS = ("move", "copy", "hardlink", "symlink")
SETTINGS = """
inboxes: [inbox]
filing: {{action: {action}}}
decision: {{min_confidence: 0.9}}
batch: {{wait_seconds: 0}}
watch: {{mode: polling, settle_seconds: 0.2, rescan_seconds: 1}}
"""


class State(NamedTuple):
    """What must be the same of a file or folder; `inode` has the device too."""

    digest: str | None
    mode: int
    owner: tuple[int, int]
    inode: tuple[int, int]
    mtime_ns: int


class Seen(NamedTuple):
    """What was seen with one action."""

    action: str
    files: int
    photos: int
    companions: int
    seconds: float
    separated: int
    source_changed: int
    taken_again: int
    not_undone: int
    differs: int

    @property
    def well(self) -> bool:
        """Whether all was as it must be."""
        return not any(self[5:])


def states(root: Path) -> dict[bytes, State]:
    """Return everything below a folder by its path there."""
    found: dict[bytes, State] = {}
    top = os.fsencode(root)
    for folder, folders, files in os.walk(top):
        for path in (os.path.join(folder, name) for name in (*folders, *files)):
            of = os.lstat(path)
            content = digest(read(path)) if stat.S_ISREG(of.st_mode) else None
            inode = of.st_dev, of.st_ino
            found[os.path.relpath(path, top)] = State(
                content, of.st_mode, (of.st_uid, of.st_gid), inode, of.st_mtime_ns
            )
    return found


def check(folder: Path, action: str, files: int) -> Seen:
    """File a tree in a new folder, once more, and undo all; return what was seen."""
    pawsort = Installation(folder, SETTINGS.format(action=action))
    try:
        tree = make_tree(pawsort.inbox, files)
        before = states(pawsort.inbox)
        began = time.monotonic()
        _run(pawsort)
        seconds = time.monotonic() - began
        separated, changed = _separated(pawsort, tree, before), _changed(pawsort, tree, before)
        rows = len(pawsort.rows())
        _run(pawsort)
        again = len(pawsort.rows()) - rows
        not_undone = [change for change in pawsort.undo(last=rows) if change.problem]
        differs = _differences(before, states(pawsort.inbox), exactly=action != "move")
        left = [
            path
            for path in states(pawsort.settings.sorted).values()
            if path.digest or stat.S_ISLNK(path.mode)
        ]
        companions = sum(map(len, tree.groups.values()))
        return Seen(
            action, tree.files, rows, companions, round(seconds, 1), separated, changed, again,
            len(not_undone), differs + len(left),
        )  # fmt: skip
    finally:
        pawsort.close()


def _run(pawsort: Installation) -> None:
    """Let a worker file everything; files settle meanwhile, so that it takes as long as it takes."""
    worker = pawsort.worker()
    worker.start()
    while not worker.idle:
        worker.step()
        assert not worker.trouble, worker.trouble
        if not worker.in_flight.held:
            time.sleep(0.01)
    worker.stop()


def _separated(pawsort: Installation, tree: Tree, before: dict[bytes, State]) -> int:
    """Return how many files have not the place, the row or the content that they must have."""
    below = len(pawsort.raw_inbox) + 1
    rows = {
        unescape(source)[below:]: (unescape(path), names)
        for source, path, names in pawsort.rows("source_path, path, coalesce(companions, '[]')")
    }
    wrong = len(rows.keys() ^ tree.groups.keys())
    for photo, companions in tree.groups.items():
        [entry] = [e for e in [rows.get(photo)] if e] or [(b"", "[]")]
        wrong += _wrong_beside(photo, companions, *entry, before)
    return wrong


def _wrong_beside(
    photo: bytes, companions: set[bytes], path: bytes, names: str, before: dict[bytes, State]
) -> int:
    recorded = [unescape(name) for name in json.loads(names)]
    places = beside(escape(photo), escape(path), names)
    wrong = len({*recorded} ^ companions)
    for name, place in [(os.path.basename(photo), path), *zip(recorded, places, strict=True)]:
        expected = before.get(os.path.join(os.path.dirname(photo), name))
        wrong += not os.path.isfile(place) or expected is None or digest(read(place)) != expected.digest
    return wrong


def _changed(pawsort: Installation, tree: Tree, before: dict[bytes, State]) -> int:
    """Return how many files and folders of the inbox differ from before, as far as they must stay."""
    after = states(pawsort.inbox)
    if pawsort.settings.action_of(pawsort.inbox) != "move":
        return _differences(before, after, exactly=True)
    left = {path for path, state in after.items() if state.digest}
    return len(left ^ tree.untouched) + sum(after[path] != before[path] for path in left & tree.untouched)


def _differences(before: dict[bytes, State], after: dict[bytes, State], *, exactly: bool) -> int:
    """Return how many paths differ: in all or, not `exactly`, in what a move there and back keeps."""
    if exactly:
        return sum(before.get(path) != after.get(path) for path in before.keys() | after.keys())

    def kept(states: dict[bytes, State]) -> dict[bytes, object]:
        return {path: (s.digest, s.mode, s.owner, s.mtime_ns) for path, s in states.items() if s.digest}

    a, b = kept(before), kept(after)
    return sum(a.get(path) != b.get(path) for path in a.keys() | b.keys())


def main() -> int:
    """Check each action; return 1 if anything is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--actions", default=",".join(ACTIONS))
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # of each sidecar without its photo
    print("  ".join(f"{name:>14}" for name in Seen._fields))
    well = True
    for action in options.actions.split(","):
        folder = Path(tempfile.mkdtemp(prefix="pawsort-tree-"))
        try:
            seen = check(folder / "pawsort", action, options.files)
        finally:
            shutil.rmtree(folder)
        print("  ".join(f"{value:>14}" for value in seen), flush=True)
        well = well and seen.well
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
