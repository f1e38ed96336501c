"""Do what a person wants of files: at once for one's own, by a request to the owner for the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from db.ledger import requests as ledger
from db.ledger.requests import Asked, RequestKind, Wish
from db.ledger.workers import RETIRED
from db.queries import overview
from db.queries import requests as queries
from db.queries.requests import Request
from db.schema.tables import MoveKind, Via
from pipeline.corrections.correct_undo_retry import Known, changed_since
from pipeline.corrections.recorded_move import Change
from pipeline.requests.owners import known_workers, name_of, others_of

Here = Callable[[Sequence[Known]], list[Change]]
"""Changes files of this machine's worker; returns a change for each."""


@dataclass(frozen=True, slots=True)
class Asker:
    """A person at the machine of the worker `own`, who wants something of files in the database `engine`.

    `engine` sees the files of all workers.
    """

    engine: Engine
    own: int
    by: str
    via: Via

    def change(
        self, files: Sequence[Known], kind: RequestKind, here: Here, label: str | None = None
    ) -> list[Change]:
        """Change one's own files by `here`, and send requests for the others; return a change for each.

        A change that was sent has the number of its `request`. Raises what `here` does, DatabaseError.
        """
        others = others_of(self.engine, self.own, [file.id for file in files])
        mine = [file for file in files if file.id not in others]
        done = dict(zip(mine, here(mine) if mine else (), strict=True))
        theirs = [file for file in files if file.id in others]
        done |= dict(zip(theirs, self._sent(theirs, kind, label), strict=True))
        return [done[file] for file in files]

    def undo(self, files: Sequence[Known], here: Here) -> list[Change]:
        """Undo the last change of each file: an open request is taken back, and nothing else undone.

        A version from before a request of this person that was carried out stands for the one after it.
        """
        others = others_of(self.engine, self.own, [file.id for file in files])
        open_ones = queries.open_of(self.engine, others)
        taken_back = {
            file: change
            for file in files
            if (request := open_ones.get(file.id)) and request.version == file.version
            if (change := self.take_back(request)).problem is None
        }
        rest = [file for file in files if file not in taken_back]
        current = {file: self._after_own(file) if file.id in others else file for file in rest}
        changed = self.change(list(current.values()), "undo", here)
        done = taken_back | dict(zip(rest, changed, strict=True))
        return [done[file] for file in files]

    def _after_own(self, file: Known) -> Known:
        return after_request(self.engine, file, self.by)

    def take_back(self, request: Request) -> Change:
        """Take an open request back; a problem if its worker has carried it out meanwhile."""
        was_open = ledger.cancel(self.engine, request.id, self.by)
        problem = None if was_open else "the request was carried out meanwhile"
        return self._of_entry("undo", request.file_id, problem)

    def _sent(self, files: Sequence[Known], kind: RequestKind, label: str | None) -> list[Change]:
        wishes = [Wish(file.id, file.version, kind, label, self.by, self.via) for file in files]
        asked = ledger.ask(self.engine, wishes) if wishes else []
        return [self._answer(each, "correct" if kind == "correct" else "undo") for each in asked]

    def _answer(self, asked: Asked, kind: MoveKind) -> Change:
        if asked.request is None:
            return self._of_entry(kind, asked.file_id, self._why(asked))
        return self._of_entry(kind, asked.file_id, None, asked.request)

    def _of_entry(self, kind: MoveKind, id: int, problem: str | None, request: int | None = None) -> Change:
        entry = overview.entries(self.engine, [id]).get(id)
        if entry is None:
            return Change(kind, b"%d" % id, problem=problem or "no file has this id")
        file = entry.path or entry.source
        if problem is not None:
            return Change(kind, file, problem=problem)
        found = queries.request(self.engine, request) if request is not None else None
        owner = found and (found.owner or name_of(None))
        return Change(
            kind, file, id, entry.path, entry.outcome, entry.corrected_to, request=request, owner=owner
        )

    def _why(self, asked: Asked) -> str:
        if asked.refused == "open":
            request = queries.open_of(self.engine, [asked.file_id]).get(asked.file_id)
            return f"waits for {said_of(request)}" if request else "was just changed; try again"
        if asked.refused == "retired":
            owner = others_of(self.engine, self.own, [asked.file_id])[asked.file_id]
            return RETIRED.format(name=name_of(known_workers(self.engine).get(owner)))
        found = overview.history(self.engine, asked.file_id)
        if found is None or asked.refused == "gone":
            return "is no longer in a folder"
        return changed_since(found.moves)


def after_request(engine: Engine, file: Known, by: str | None = None) -> Known:
    """Return the version that a file got by the request of the person who saw `file`, `by` if given.

    It is `file` itself if there was none, or if the file was changed after it.
    """
    done = (
        each
        for each in queries.of_file(engine, file.id)
        if each.version == file.version and by in (None, each.by)
    )
    if not any(each.done_at is not None and each.problem is None for each in done):
        return file
    found = overview.history(engine, file.id)
    later = [move.id for move in found.moves if move.id > file.version] if found else []
    return Known(file.id, later[0]) if len(later) == 1 else file


def said_of(request: Request) -> str:
    """Return whom a request waits for, who asked, and for what, in words."""
    return f"{request.owner or name_of(None)}, asked by {request.by} to {wanted(request)}"


def wanted(request: Request) -> str:
    """Return what a request asks for, in words."""
    if request.kind == "correct":
        return f"record it as {request.label}"
    return "undo its last change" if request.kind == "undo" else "send it in again"


def owner_names(engine: Engine) -> dict[int, str]:
    """Return the names of the workers by id, if there are many; none on SQLite. Raises DatabaseError."""
    found = {id: worker.name for id, worker in known_workers(engine).items()}
    return found if len(found) > 1 else {}
