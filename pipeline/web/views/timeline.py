"""The history of one file as lines of text, oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from db.queries.overview import History
from db.queries.requests import Request
from db.schema.file_names import escape
from db.schema.records import Entry, Move
from pipeline.reasons import why
from pipeline.requests.asking import wanted
from pipeline.web.views.decision_text import shown_of
from pipeline.web.views.formatting import percent

UNKNOWN_PERSON = "folder"
"""The person of a move by hand whose login name is not known; equals `folder_labels.FOLDER`."""

_BY_HAND = {
    "follow": "Moved by hand to {path}",
    "remove": "Deleted by hand",
    "return": "Came back, as {path}",
    "edit": "Edited: its content is new",
}


@dataclass(frozen=True, slots=True)
class Event:
    """An event in the history of a file; `by` is the person, None for the worker."""

    at: datetime
    what: str
    by: str | None = None
    kind: str = "worker"


def timeline(history: History, requests: Sequence[Request] = ()) -> list[Event]:
    """Return the events of a file; of requests those that led to no move."""
    entry, moves = history.entry, history.moves
    events = [*_arrived(entry), *map(_moved, moves)]
    if asked := [_asked(each) for each in requests if each.is_open or each.problem is not None]:
        events = sorted([*events, *asked], key=lambda event: event.at)
    if entry.state == "vanished":
        events.append(Event(entry.changed_at, _ended(entry, moves)))
    return events


def _arrived(entry: Entry) -> list[Event]:
    if entry.reason == "imported":
        return [Event(entry.seen_at, f"Found in {entry.verdict}. {why(entry.reason)}")]
    events = [
        Event(entry.seen_at, f"Seen in {entry.inbox}" + _below(entry)),
        Event(entry.claimed_at, "Moved into the spool"),
    ]
    if entry.decided_at:
        events.append(Event(entry.decided_at, _decided(entry)))
    if entry.filed_at:
        events.append(Event(entry.filed_at, f"Moved to {entry.verdict}"))
    return events


def _below(entry: Entry) -> str:
    return f", as {escape(entry.source)}" if entry.source != entry.name else ""


def _ended(entry: Entry, moves: Sequence[Move]) -> str:
    if entry.filed_at is None:
        return "Deleted before the worker could claim it"
    if moves and moves[-1].kind == "undo":
        return "No longer counted: it was sent in again"
    return "No longer counted: it arrived again, or another file replaced it"


def _decided(entry: Entry) -> str:
    if entry.verdict == "failed" or entry.prediction is None:
        return f"Could not be read. {why(entry.reason)}"
    like = f"Same content as file {entry.duplicate_of}. " if entry.duplicate_of else ""
    answer = shown_of(entry)
    share = "" if answer.probability is None else f" with {percent(answer.probability)} confidence"
    reason = f" {why(entry.reason)}" if entry.reason else ""
    return f"{like}{entry.model or 'The model'} predicted {answer.label}{share}.{reason}"


def _moved(move: Move) -> Event:
    done = "" if move.done_at else " (in progress)"
    by = None if move.by == UNKNOWN_PERSON else move.by or None
    return Event(move.done_at or move.began_at, _text_of(move) + done, by, move.kind)


def _asked(request: Request) -> Event:
    end = "waiting" if request.is_open else str(request.problem)
    return Event(request.asked_at, f"Asked {request.owner} to {wanted(request)}: {end}", request.by, "asked")


def _text_of(move: Move) -> str:
    if move.kind == "undo" and move.undoes is None:
        return "Put back into the inbox"
    to = f", from {move.old_outcome} to {move.new_outcome}" if move.old_outcome != move.new_outcome else ""
    if move.kind in _BY_HAND:
        return _BY_HAND[move.kind].format(path=escape(move.destination))
    if move.kind == "undo" and move.old_corrected_to == move.new_corrected_to:
        return f"Undid a move by hand{to}"
    if move.kind == "undo":
        return f"Undid the correction to {move.old_corrected_to}{to}"
    by_hand = " by its folder" if move.via == "folder" else ""
    return f"Corrected to {move.new_corrected_to}{by_hand}{to}"
