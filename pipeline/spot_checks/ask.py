"""Ask for answers to photos that were drawn, one by one, as text. The terminal itself is the caller's."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Engine

from db.queries import overview, spot_checks
from db.queries.spot_checks import Waiting
from db.schema.file_names import escape
from models.labels import NEITHER
from pipeline.corrections.correct_undo_retry import Known
from pipeline.logs import printable
from pipeline.settings.config import Settings
from pipeline.spot_checks import answer

Read = Callable[[str], str]
"""Shows a question and returns a line of text; raises EOFError at its end."""


@dataclass(slots=True)
class Questions:
    """The photos that wait, and what was answered in this run; `say` prints a line."""

    engine: Engine
    settings: Settings
    folders: Mapping[str, str]
    by: str
    read: Read
    say: Callable[[str], None]
    answered: list[int] = field(default_factory=list)

    def ask(self) -> None:
        """Ask for each photo that waits, until none does, or the answer is `q` or the input ends."""
        passed = 0
        while True:
            waiting = spot_checks.waiting(self.engine, passed)
            if not waiting:
                return
            said = self._read(waiting[0])
            if said == "q":
                return
            if said == "u":
                passed = self._undo(passed)
                continue
            if said != "s":
                self._answer(waiting[0], said)
            passed = waiting[0].id

    def _read(self, waiting: Waiting) -> str:
        """Return `s`, `u`, `q` or a label."""
        labels = [*self.folders, NEITHER]
        entry = waiting.entry
        self.say(printable(f"{escape(entry.path or b'')}: {entry.prediction}?"))
        numbered = ", ".join(f"{number} {label}" for number, label in enumerate(labels, 1))
        question = f"y right; {numbered}; s skip, u undo, q quit: "
        while True:
            try:
                said = self.read(question).strip().lower()
            except EOFError:
                return "q"
            if said in ("s", "u", "q"):
                return said
            if said == "y" and entry.prediction:
                return entry.prediction
            chosen = [label for number, label in enumerate(labels, 1) if said in (str(number), label.lower())]
            if chosen:
                return chosen[0]

    def _answer(self, waiting: Waiting, label: str) -> None:
        id = waiting.entry.id
        known = Known(id, overview.versions(self.engine, [id])[id])
        [change] = answer.answer(self.engine, self.settings, [known], label, self.by, self.folders)
        if change.problem is None:
            self.answered.append(id)
        else:
            self.say(str(change))

    def _undo(self, passed: int) -> int:
        """Take the last answer back, and return the number of the spot check to go on after."""
        if not self.answered:
            self.say("there is no answer of this run to undo")
            return passed
        id = self.answered.pop()
        known = Known(id, overview.versions(self.engine, [id])[id])
        [change] = answer.undo(self.engine, self.settings, [known], self.by)
        if change.problem is not None:
            self.say(str(change))
            return passed
        found = spot_checks.waiting(self.engine, ids=[id])
        self.say(f"{os.fsdecode(os.path.basename(change.path or b''))} is asked again")
        return found[0].id - 1 if found else passed
