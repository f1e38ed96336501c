"""Choose animals to leave out of a training, to measure it on animals that it has never seen.

`python -m scripts.leave_out_animals NEITHER OUT --second GROUP... --all GROUP... --exclude FILE` takes every
second name of the files in NEITHER/GROUP, in order, or all of a group. The name of `red_fox_0012.jpg` is
`red`. It writes OUT/exclude.csv for `train --exclude`, which also holds the lines of FILE, and links to the
photos below OUT/photos, a source for each name, for `evaluate BUNDLE OUT/photos`.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from itertools import groupby
from pathlib import Path


def main() -> int:
    """Write the list and the links."""
    parser = argparse.ArgumentParser(prog="leave_out_animals", description=__doc__)
    parser.add_argument("neither", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--second", nargs="*", default=[], metavar="GROUP")
    parser.add_argument("--all", nargs="*", default=[], metavar="GROUP")
    parser.add_argument("--exclude", type=Path, metavar="FILE")
    options = parser.parse_args()
    left_out = [
        (f"{group}-{name}", photo)
        for group in (*options.second, *options.all)
        for name, photos in chosen(options.neither / group, every=1 if group in options.all else 2)
        for photo in photos
    ]
    options.out.mkdir(parents=True)
    with (options.out / "exclude.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerows(_lines(options.exclude) if options.exclude else [("sha256", "reason")])
        rows.writerows((hashlib.sha256(photo.read_bytes()).hexdigest(), "left out") for _, photo in left_out)
    for source, photo in left_out:
        folder = options.out / "photos" / "neither" / source
        folder.mkdir(parents=True, exist_ok=True)
        (folder / photo.name).symlink_to(photo.resolve())
    print(f"{len(left_out)} photos of {len({source for source, _ in left_out})} names are left out")
    return 0


def chosen(folder: Path, every: int) -> list[tuple[str, list[Path]]]:
    """Return of each `every` names of the files in a folder the last one, and the files of that name."""
    photos = sorted(folder.iterdir(), key=lambda photo: (name_of(photo), photo.name))
    names = [(name, list(files)) for name, files in groupby(photos, key=name_of)]
    return names[every - 1 :: every]


def name_of(photo: Path) -> str:
    """Return what a file is named by, without its number."""
    return photo.stem.partition("_")[0]


def _lines(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


if __name__ == "__main__":
    raise SystemExit(main())
