"""Measure what corrections teach: `python -m benchmarks.learnt [--draws N] [--many N] [--write]`.

In each draw a model learns from other photos of one group, chosen by chance, and 10 of cats and of dogs: of
neither, or of a class of their own. `knows_documents` has a last layer that has seen, as neither, documents
alone; the shipped model has seen some of each group as neither. The layers below the last have seen all of
these photos in training, so that the figures tell how well the last one learns, not what an unknown kind of
photo does to a network.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import writing
from models import calibration
from models.bundle.bundle import Bundle, load, locate, read_replay
from models.inference.engines import answering
from models.labels import NEITHER
from models.learning import learn
from models.learning.learn import LearnOptions
from models.learning.photos import JudgedPhoto, Known
from models.learning.record import Figures, Learnt
from tests.conftest import SHARED_DATA
from tests.support.documents_model import (
    Shown,
    as_replay,
    features,
    knows_documents,
    model_of,
    photo_at,
    photos_in,
)

UNKNOWN, THIRD = "near_relatives", "small_pets"
JUDGED = 60
OF_EACH_PET = 10
MANY = 500
PAGE = Path(__file__).parents[1] / "docs" / "models.md"
PETS = ("cat", "dog")


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `count` photos."""

    hits: int
    count: int


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of all draws, before and after; `before` is empty where there was nothing to measure."""

    case: str
    figure: str
    before: Sequence[Share]
    after: Sequence[Share]


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of the clock and of all processors; a busy machine makes only the first longer."""

    clock: float
    processor: float


Times = dict[int, list[Took]]
"""How long each learning took, by the number of judged photos."""


@dataclass(frozen=True, slots=True)
class Group:
    """The photos of a group and their features."""

    name: str
    photos: Sequence[Shown]
    known: Known


class Teacher:
    """Learns from drawn photos with one model, and writes the versions into a folder."""

    def __init__(self, folder: Path, champion: Bundle) -> None:
        self.folder = folder
        self.champion = champion
        self.pets = {name: _some(SHARED_DATA / "cats_dogs" / name) for name in PETS}
        self.times: Times = {}
        self._versions = 0

    def group(self, name: str) -> Group:
        """Read a group of neither."""
        photos = photos_in(SHARED_DATA / "neither" / name)
        return Group(name, photos, features(self.champion, photos))

    def learnt(self, judged: Sequence[JudgedPhoto]) -> tuple[Learnt, Bundle]:
        """Learn from photos whose features are not known yet, and note how long that takes."""
        self._versions += 1
        out = self.folder / f"{self.champion.name}@{self._versions}"
        began = time.process_time()
        result = learn.learn(LearnOptions(self.champion.path, out.name, out, judged))
        took = Took(result.seconds, time.process_time() - began)
        self.times.setdefault(len(judged), []).append(took)
        return result, answering(load(out))

    def beside(self, photos: Sequence[Shown], label: str, each: int, seed: int) -> list[JudgedPhoto]:
        """Return photos with a label, and so many of cats and of dogs."""
        rng = np.random.default_rng(seed)
        known = [
            pets[place].judged(name)
            for name, pets in self.pets.items()
            for place in rng.permutation(len(pets))[:each]
        ]
        return [*(photo.judged(label) for photo in photos), *known]


def _some(folder: Path) -> list[Shown]:
    return [photo_at(path) for path in sorted(folder.iterdir())[::20]]


def measure(folder: Path, draws: int, many: int) -> tuple[list[Row], Times]:
    """Return the figures, and how long each learning took."""
    teacher = Teacher(folder, knows_documents(folder))
    shipped = Teacher(folder, answering(load(locate("cats_dogs", folder))))
    rows = [
        *_rows(teacher, UNKNOWN, NEITHER, draws),
        *_rows(teacher, THIRD, THIRD, draws),
        *_rows(shipped, THIRD, THIRD, draws),
    ]
    if many:
        photos = photos_in(SHARED_DATA / "neither" / "birds")[: many // 2]
        shipped.learnt(shipped.beside(photos, NEITHER, (many - len(photos)) // 2, seed=0))
    return rows, _joined(teacher.times, shipped.times)


def _joined(*found: Times) -> Times:
    counts = sorted({count for each in found for count in each})
    return {count: [value for each in found for value in each.get(count, [])] for count in counts}


def _rows(teacher: Teacher, name: str, label: str, draws: int) -> Iterator[Row]:
    """Let photos of a group be judged as `label`; yield the figures on its others, and on the base's."""
    group = teacher.group(name)
    found = [_draw(teacher, group, label, seed) for seed in range(draws)]
    said = "neither" if label == NEITHER else "a new class"
    case = f"`{teacher.champion.name}`: {JUDGED} of {name}, judged {said}"
    for figure in found[0]:
        before, after = zip(*(draw[figure] for draw in found), strict=True)
        yield Row(case, figure, [share for share in before if share.count], after)


def _draw(teacher: Teacher, group: Group, label: str, seed: int) -> dict[str, tuple[Share, Share]]:
    order = np.random.default_rng(seed).permutation(len(group.photos))
    photos = [group.photos[place] for place in order[:JUDGED]]
    others = group.known.only([group.photos[place].sha256 for place in order[JUDGED:]])
    result, bundle = teacher.learnt(teacher.beside(photos, label, OF_EACH_PET, seed))
    own = _of_neither if label == NEITHER else _of_class
    return own(teacher.champion, bundle, others, label) | dict(_of_base(result))


def _of_neither(
    champion: Bundle, bundle: Bundle, others: Known, label: str
) -> dict[str, tuple[Share, Share]]:
    both = [
        model_of(each).answers(as_replay(others, each.labels.index(label)))[0].filed
        for each in (champion, bundle)
    ]
    before, after = (Share(int(filed.sum()), len(filed)) for filed in both)
    return {"others of it: filed": (before, after)}


def _of_class(_: Bundle, bundle: Bundle, others: Known, label: str) -> dict[str, tuple[Share, Share]]:
    """Return recall, and how many of the photos taken for the class are of it: others and the base's test."""
    place, replay = bundle.labels.index(label), read_replay(bundle)
    assert replay is not None
    model, nothing = model_of(bundle), Share(0, 0)
    hits = int((model.answers(as_replay(others, place))[0].predicted == place).sum())
    wrong = int((model.answers(replay.part("test"))[0].predicted == place).sum())
    return {
        "others of it: recall": (nothing, Share(hits, len(others))),
        "others of it and photos of the base: precision": (nothing, Share(hits, hits + wrong)),
    }


def _of_base(result: Learnt) -> Iterator[tuple[str, tuple[Share, Share]]]:
    base = result.comparison.base
    assert base is not None
    for name in Figures.model_fields:
        if name != "neither_filed":  # a photo or two: documents
            before, after = (getattr(figures, name) for figures in (base.champion, base.challenger))
            yield (
                f"photos of the base: {name}",
                (_share(before.value, before.count), _share(after.value, after.count)),
            )


def _share(value: float | None, count: int) -> Share:
    return Share(round((value or 0) * count), count)


def said(shares: Sequence[Share]) -> str:
    """Return the share of the photos of all draws, and its interval with as many photos as one draw has."""
    if not shares:
        return "-"
    count = round(statistics.mean(share.count for share in shares))
    value = sum(share.hits for share in shares) / max(1, sum(share.count for share in shares))
    low, high = calibration.wilson(round(value * count), count)
    return f"{value:.1%} ({low:.1%} to {high:.1%}) of {count:,}"


def spread(shares: Sequence[Share]) -> str:
    """Return the least and the greatest share of a draw."""
    values = [share.hits / max(1, share.count) for share in shares]
    return f"{min(values):.1%} to {max(values):.1%}"


def table(rows: Sequence[Row], times: Times, draws: int, many: int) -> str:
    """Return the figures as Markdown, with the command that gives them and the machine."""
    machine = writing.machine()
    command = f"python -m benchmarks.learnt --draws {draws} --many {many}"
    took = ", ".join(_slowest(count, values) for count, values in times.items())
    lines = [
        f"`{command}` on {machine['processor']}; {machine['load']}.",
        f"Learning took at most {took}.",
        "",
        "| judged | figure | before | after | after, of all draws |",
        "|---|---|---|---|---|",
        *(
            f"| {row.case} | {row.figure} | {said(row.before)} | {said(row.after)} | {spread(row.after)} |"
            for row in rows
        ),
    ]
    return "\n".join(lines) + "\n"


def _slowest(count: int, times: Sequence[Took]) -> str:
    clock, processor = (max(getattr(took, name) for took in times) for name in ("clock", "processor"))
    return f"{clock:.0f} s, {processor:.0f} s of processors, for {count:,} judged photos"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.learnt", description=__doc__)
    parser.add_argument("--draws", type=int, default=3, help="how often photos are drawn (default 3)")
    parser.add_argument(
        "--many", type=int, default=MANY, help=f"also learn from so many, 0 for not (default {MANY})"
    )
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    options = parser.parse_args()
    if options.draws < 1 or (options.many and options.many < 2 * JUDGED):
        parser.error(f"--draws is 1 at least, --many 0 or {2 * JUDGED} at least")
    if not SHARED_DATA.is_dir():
        parser.error(f"the photographs are not here: {SHARED_DATA}")
    print(json.dumps(writing.machine()))
    with tempfile.TemporaryDirectory(prefix="pawsort-learnt-") as folder:
        rows, times = measure(Path(folder), options.draws, options.many)
    text = table(rows, times, options.draws, options.many)
    print(text)
    if options.write:
        writing.replace("learnt", text, PAGE)


if __name__ == "__main__":
    main()
