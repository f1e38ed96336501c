"""Write the epochs of a training as a table and a plot, in the bundle's folder."""

from __future__ import annotations

import csv
import importlib.util
import io
import logging
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from models import working_folder
from models.bundle.write_bundle import replace
from models.installation import install_command
from models.training.fine_tuning import Epoch

log = logging.getLogger(__name__)


def write_history(folder: Path, history: Sequence[Epoch]) -> None:
    """Write history.csv, and history.png if matplotlib is installed; else log that it is missing."""
    replace(folder / "history.csv", _table(history))
    if not history:
        return
    if importlib.util.find_spec("matplotlib") is None:
        log.info("no history.png: matplotlib is not installed; run `%s`", install_command(extra="train"))
        return
    replace(folder / "history.png", _picture(history))


def _table(history: Sequence[Epoch]) -> bytes:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [f.name for f in fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in history)
    return buffer.getvalue().encode()


def _picture(history: Sequence[Epoch]) -> bytes:
    with working_folder.left():
        from matplotlib.figure import Figure  # not pyplot, which keeps figures and may look for a screen

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    epochs = [epoch.epoch for epoch in history]
    losses.plot(epochs, [epoch.train_loss for epoch in history], marker=".", label="training")
    losses.plot(epochs, [epoch.validation_loss for epoch in history], marker=".", label="validation")
    losses.set(xlabel="epoch", ylabel="loss (nats)", ylim=(0, None))
    losses.legend()
    accuracies.plot(epochs, [epoch.validation_accuracy for epoch in history], marker=".", color="C1")
    accuracies.set(xlabel="epoch", ylabel="validation accuracy")
    best = min(history, key=lambda epoch: epoch.validation_loss).epoch
    for axes in (losses, accuracies):
        axes.axvline(best, color="0.7", linewidth=1, zorder=0)
        axes.xaxis.get_major_locator().set_params(integer=True)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
