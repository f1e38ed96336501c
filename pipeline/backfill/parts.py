"""The Parquet files of a run: the list of each part and its results, one file for each.

A file has its name once it is whole, so that a part that is done twice is done once, also from two machines.
PyArrow is imported when it is needed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from db.schema.file_names import RawName
from pipeline.backfill.storage.run_path import RunPath, names, readable, write_whole
from pipeline.backfill.tree import Listed

LISTS = "lists"
RESULTS = "results"
_MARK = b"pawsort"
_END_BYTES = 256 << 10  # of a file of results on S3, which have its mark


class Part(NamedTuple):
    """The photos of one part; their ids follow each other from `first`."""

    number: int
    first: int
    photos: tuple[Listed, ...]


class Result(NamedTuple):
    """What became of one photo: a row of a file of results.

    `outcome` is a folder. `scores` are probabilities by label, `bytes` to `mtime_ns` the version of the file
    that was read (0 where there is none); `decided_at` is UTC.
    """

    id: int
    path: RawName
    outcome: str
    prediction: str | None
    confidence: float | None
    reason: str | None
    detail: str | None
    scores: dict[str, float] | None
    sha256: str | None
    bytes: int
    format: str | None
    width: int | None
    height: int | None
    taken_at: str | None
    taken_from: str | None
    brightness: float | None
    answer_key: str | None
    dev: int
    ino: int
    mtime_ns: int
    decided_at: datetime


class Mark(NamedTuple):
    """Which run and part a file of results is of: the digest of the run's lists, and the number."""

    digest: str
    part: int


class DamagedPart(Exception):  # noqa: N818 - says what is wrong
    """A file of a list or of results is missing, or is no such file; the message names it."""


def list_file(run: RunPath, part: int) -> RunPath:
    """Return where the list of a part is."""
    return run / LISTS / f"part-{part:05}.parquet"


def results_file(run: RunPath, part: int) -> RunPath:
    """Return where the results of a part are, once it is done."""
    return run / RESULTS / f"part-{part:05}.parquet"


def write_list(run: RunPath, part: Part) -> None:
    """Write the list of a part. Raises OSError."""
    import pyarrow as pa

    rows = [{"id": part.first + n, **photo._asdict()} for n, photo in enumerate(part.photos)]
    kinds = pa.binary(), pa.int64(), pa.int64(), pa.list_(pa.binary())
    schema = pa.schema([("id", pa.int64()), *zip(Listed._fields, kinds, strict=True)])
    _write(list_file(run, part.number), rows, schema)


def read_list(run: RunPath, number: int) -> Part:
    """Return a part as it was planned. Raises DamagedPart; OSError where the disk or share fails."""
    columns = _columns(list_file(run, number))
    ids = columns.pop("id")
    if ids != list(range(ids[0], ids[0] + len(ids))):
        raise DamagedPart(f"{list_file(run, number)}: its ids do not follow each other; plan again")
    rows = zip(*(columns[name] for name in Listed._fields), strict=True)
    photos = (Listed(*row) for row in rows)
    return Part(number, ids[0], tuple(photo._replace(companions=tuple(photo.companions)) for photo in photos))


def write_results(run: RunPath, mark: Mark, results: Iterable[Result]) -> None:
    """Write the results of a part, in place of any before. Raises OSError."""
    import pyarrow as pa

    texts, numbers = dict.fromkeys(Result._fields, pa.string()), dict[str, Any]()
    numbers |= dict.fromkeys(("id", "bytes", "mtime_ns"), pa.int64())
    numbers |= dict.fromkeys(("dev", "ino"), pa.uint64()) | dict.fromkeys(("width", "height"), pa.int64())
    numbers |= dict.fromkeys(("confidence", "brightness"), pa.float64())
    schema = pa.schema(
        {**texts, **numbers, "path": pa.binary(), "decided_at": pa.timestamp("us", "UTC")}.items(),
        {_MARK: json.dumps(mark._asdict())},
    )
    rows = [
        row._asdict() | {"scores": None if row.scores is None else json.dumps(row.scores)} for row in results
    ]
    _write(results_file(run, mark.part), rows, schema)


def read_results(run: RunPath, number: int) -> list[Result]:
    """Return the results of a part, in the order of their ids. Raises DamagedPart, OSError."""
    columns = _columns(results_file(run, number))
    columns["scores"] = [scores and json.loads(scores) for scores in columns["scores"]]
    return [Result(*row) for row in zip(*(columns[name] for name in Result._fields), strict=True)]


def read_places(run: RunPath, number: int) -> list[tuple[int, RawName]]:
    """Return the id and the path of each result of a part. Raises DamagedPart, OSError."""
    columns = _columns(results_file(run, number), ["id", "path"])
    return list(zip(columns["id"], columns["path"], strict=True))


def read_mark(run: RunPath, number: int) -> tuple[Mark, int]:
    """Return which run and part the results of a part say they are of, and the number of their rows.

    Reads the end of the file alone. Raises DamagedPart, OSError.
    """
    path = results_file(run, number)
    with _opened(path, _END_BYTES) as file:
        try:
            mark = json.loads(file.schema_arrow.metadata[_MARK])
            return Mark(mark["digest"], mark["part"]), file.metadata.num_rows
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedPart(f"{path}: is no file of results: {error}") from error


def numbers(folder: RunPath) -> Iterator[int]:
    """Yield the numbers of the parts that have a file in a folder of lists or results. Raises OSError."""
    for name in names(folder):
        stem = name.removeprefix("part-").removesuffix(".parquet")
        if name == f"part-{stem}.parquet" and stem.isascii() and stem.isdigit():
            yield int(stem)


def _columns(path: RunPath, names: Sequence[str] | None = None) -> dict[str, Any]:
    import pyarrow as pa

    with _opened(path) as file:
        try:
            columns: dict[str, Any] = file.read(columns=names).to_pydict()
        except (pa.ArrowInvalid, OSError) as error:
            raise _damaged(path, error) from error
    missing = [name for name in names or () if name not in columns]
    if missing or not all(columns.values()):
        raise DamagedPart(f"{path}: has no rows, or not the columns of a part")
    return columns


def _opened(path: RunPath, last: int | None = None) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(readable(path, last))
    except FileNotFoundError:
        raise DamagedPart(f"{path}: is missing") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: RunPath, error: Exception) -> Exception:
    """Return the error for a file that cannot be read; one of the system, such as a share away, stays."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    return DamagedPart(f"{path}: is damaged: {' '.join(str(error).split())}")


def _write(path: RunPath, rows: Sequence[dict[str, Any]], schema: Any) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    content = pa.BufferOutputStream()
    parquet.write_table(pa.Table.from_pylist(rows, schema), content, compression="zstd")
    write_whole(path, content.getvalue())
