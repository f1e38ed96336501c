"""A filed photo and its companions, which are moved with it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Engine

from db.ledger.ledger import Entry, Ledger, Move
from db.queries.listing import filed_at_paths
from db.schema.file_names import escape
from pipeline.companions import moving
from pipeline.companions.beside import arrived_as, found_beside
from pipeline.companions.rules import candidates, distinct
from pipeline.files import moves


def with_companions(entry: Entry, engine: Engine, ledger: Ledger) -> Entry:
    """Record files that lie beside a photo and belong to it, such as a sidecar of another program.

    What belongs to another filed photo stays with that: the sidecar of a RAW that was filed before its JPEG
    came would suit the JPEG too, and a photo that a person renamed may have got the name of another group.
    Raises DatabaseError.
    """
    assert entry.path is not None
    folder, now = os.path.split(entry.path)
    arrived, before = os.path.basename(entry.source), entry.companion_names
    beside = {arrived_as(name, arrived, now): os.path.join(folder, name) for name in found_beside(entry.path)}
    paths = beside | dict(zip(before, _companions(entry), strict=True))
    photos, companions = _of_others(entry, engine, [os.path.basename(path) for path in paths.values()])
    lost = photos if now == arrived else photos | companions  # one that has its name is the older owner
    kept = tuple(name for name in before if paths[name] not in lost)
    names = distinct(arrived, {*kept, *(name for name in beside if paths[name] not in photos | companions)})
    names = names if {*kept} <= {*names} else kept
    if names == before:
        return entry
    ledger.set_companions(entry.id, names)
    return replace(entry, companions=[escape(name) for name in names])


def _of_others(entry: Entry, engine: Engine, names: Sequence[bytes]) -> tuple[set[bytes], set[bytes]]:
    """Return the paths of other filed photos, and of their companions, that `names` beside a photo may be."""
    assert entry.path is not None
    folder = os.path.dirname(entry.path)
    suitable = {os.path.join(folder, each) for name in names for each in (name, *candidates(name))}
    there = [path for path in suitable if os.path.lexists(path)]
    rows = filed_at_paths(engine, there) if there else {}
    others = {path: row for path, row in rows.items() if row.id != entry.id}
    return {*others}, {path for row in others.values() for path in _companions(row)}


def _companions(entry: Entry) -> list[bytes]:
    assert entry.path is not None
    return moving.beside(entry.path, os.path.basename(entry.source), entry.companion_names)


def choose(entry: Entry, root: bytes, wanted: bytes, refused: set[bytes]) -> bytes:
    """Choose a destination as `moving.destination`; paths of `refused` count as taken."""
    arrived, companions = os.path.basename(entry.source), entry.companion_names
    return moving.destination(root, wanted, arrived, companions, refused)


def pairs(entry: Entry, move: Move) -> list[tuple[bytes, bytes]]:
    """Return the source and the destination of a photo, and those of its companions."""
    arrived, companions = os.path.basename(entry.source), entry.companion_names
    sources = moving.beside(move.source, arrived, companions)
    goals = moving.beside(move.destination, arrived, companions)
    return [(move.source, move.destination), *zip(sources, goals, strict=True)]


def targets(entry: Entry) -> list[bytes]:
    """Return what a photo and its companions name if they are symbolic links; nothing for any other."""
    return moving.targets(entry.target, entry.companion_names)


def left_nothing(pairs: Sequence[tuple[bytes, bytes]]) -> bool:
    """Return whether a failed move left each file where it was; see `moves.left_nothing`. Raises OSError."""
    [photo, *companions] = pairs
    there = [pair for pair in companions if any(map(os.path.lexists, pair))]
    return moves.left_nothing(*photo) and all(
        os.path.lexists(source) and moves.left_nothing(source, goal) for source, goal in there
    )
