"""The history of one file as lines for people, oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from db.queries.overview import History
from db.schema.file_names import escape
from db.schema.records import Entry, Move
from pipeline.web.views.formatting import percent
from pipeline.web.views.reasons import why


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a file; `by` is a person, None for the worker."""

    at: datetime
    what: str
    by: str | None = None
    kind: str = "worker"


def timeline(history: History) -> list[Event]:
    """Tell what happened to a file."""
    entry, moves = history.entry, history.moves
    events = [
        Event(entry.seen_at, f"Seen in {entry.inbox}" + _below(entry)),
        Event(entry.claimed_at, "Taken into the spool"),
    ]
    if entry.decided_at:
        events.append(Event(entry.decided_at, _decided(entry)))
    if entry.filed_at:
        events.append(Event(entry.filed_at, f"Moved to {entry.verdict}"))
    events += [_moved(move) for move in moves]
    if entry.state == "vanished":
        events.append(Event(entry.changed_at, _ended(entry, moves)))
    return events


def _below(entry: Entry) -> str:
    return f", as {escape(entry.source)}" if entry.source != entry.name else ""


def _ended(entry: Entry, moves: Sequence[Move]) -> str:
    if entry.filed_at is None:
        return "Gone before it could be taken"
    if moves and moves[-1].kind == "undo":
        return "Counts no more: it was sent in again"
    return "Counts no more: it came in again, or another file was filed in its place"


def _decided(entry: Entry) -> str:
    if entry.verdict == "failed" or entry.prediction is None:
        return f"Could not be read. {why(entry.reason)}"
    like = f"Same content as file {entry.duplicate_of}. " if entry.duplicate_of else ""
    sure = "" if entry.confidence is None else f", {percent(entry.confidence)} sure"
    doubt = f" {why(entry.reason)}" if entry.reason else ""
    return f"{like}{entry.model or 'The model'} took it for {entry.prediction}{sure}.{doubt}"


def _moved(move: Move) -> Event:
    done = "" if move.done_at else " (not finished yet)"
    return Event(move.done_at or move.began_at, _words(move) + done, move.by or None, move.kind)


def _words(move: Move) -> str:
    if move.kind == "undo" and move.undoes is None:
        return "Put back into the inbox"
    to = f", from {move.old_outcome} to {move.new_outcome}" if move.old_outcome != move.new_outcome else ""
    if move.kind == "undo":
        return f"Took the answer “{move.old_corrected_to}” back{to}"
    return f"Said it is {move.new_corrected_to}{to}"
