"""The steps that a file takes through the worker, laid out with no file in any of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from functools import cache, partial
from typing import NamedTuple

from db.ledger.ledger import Ledger
from models.bundle.bundle import Bundle
from pipeline.classifier.client import Classifier
from pipeline.classifier.configured_model import policy
from pipeline.config import Settings
from pipeline.worker.answer_key import answer_key
from pipeline.worker.claim import ClaimStep
from pipeline.worker.classify import ClassifyStep
from pipeline.worker.held_file import RetryQueue
from pipeline.worker.place import PlaceStep
from pipeline.worker.recovery import Recovery


class Steps(NamedTuple):
    """Where a held file may be: claimed, on its way to an answer, on its way to its folder, or resting.

    `recovery` puts one that the ledger knows into the step where it belongs.
    """

    claiming: ClaimStep
    answering: ClassifyStep
    placing: PlaceStep
    resting: RetryQueue
    recovery: Recovery

    @property
    def held(self) -> int:
        """How many files are in any step, but for those that rest."""
        return self.claiming.held + self.answering.held + self.placing.held


def lay_out(
    settings: Settings,
    bundle: Bundle,
    ledger: Ledger,
    classifier: Classifier,
    clock: Callable[[], datetime],
    monotonic: Callable[[], float],
    root: tuple[int, int],
) -> Steps:
    """Make the steps. `clock` gives UTC, `monotonic` seconds that never go back; `root` as in `PlaceStep`."""
    resting = RetryQueue(monotonic)
    claiming = ClaimStep(ledger, settings, resting, clock)
    key = cache(partial(answer_key, settings, bundle))
    answering = ClassifyStep(
        ledger, classifier, settings, policy(settings, bundle), resting, clock, root, key
    )
    placing = PlaceStep(ledger, settings, bundle, resting, clock, root)
    rescan = settings.watch.rescan_seconds
    recovery = Recovery(ledger, os.fsencode(settings.spool), claiming, answering, placing, resting, rescan)
    return Steps(claiming, answering, placing, resting, recovery)
