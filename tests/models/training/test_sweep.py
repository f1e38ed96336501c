from __future__ import annotations

import csv
import importlib.util
import re
from pathlib import Path

import pytest

from models.bundle.bundle import Bundle
from models.errors import DatasetError
from tests.models.conftest import options

DOCS = Path(__file__).parents[3] / "docs" / "models.md"

pytestmark = [
    pytest.mark.usefixtures("few_steps"),
    pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="Optuna is not installed"),
]


def documented(path: Path) -> Path:
    """Write the example of the documentation, made small enough for a test."""
    text = re.search(r"```text\n# sweep.yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert text is not None
    small = text[1].replace("trials: 20", "trials: 2").replace("mobilenet_v2, small_cnn, svm", "cifar_cnn")
    path.write_text(re.sub(r"epochs: \d+", "epochs: 1", small))
    return path


def run(photos: Path, folder: Path, stop_at: str | None = None) -> tuple[Bundle, list[str]]:
    from models.training.sweep import sweep

    stages: list[str] = []

    def hear(progress: object) -> None:
        stages.append(progress.stage)  # type: ignore[attr-defined]
        if progress.stage == stop_at:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    asked = options(
        photos, folder, architecture="mobilenet_v2", epochs=None, batch=16, input_size=None, folder_names={}
    )
    bundle, _ = sweep(asked, documented(folder / "sweep.yaml"), hear)
    return bundle, stages


@pytest.mark.long
@pytest.mark.timeout(600)  # four small trainings
@pytest.mark.usefixtures("one_layer")
def test_interrupted_sweep_is_resumed_and_writes_a_leaderboard_and_the_best_bundle(
    photos: Path, tmp_path: Path
):
    with pytest.raises(KeyboardInterrupt):
        run(photos, tmp_path, stop_at="measuring")
    bundle, _ = run(photos, tmp_path)
    assert bundle.name == "tiny" and bundle.path == tmp_path / "tiny"
    with open(tmp_path / "tiny/leaderboard.csv", newline="") as file:
        table = list(csv.DictReader(file))
    losses = [float(row["log_loss"]) for row in table if row["log_loss"]]
    assert losses == sorted(losses) and [row["rank"] for row in table] == [
        str(i + 1) for i in range(len(table))
    ]
    assert table[0]["architecture"] == bundle.architecture
    assert f"--architecture {bundle.architecture} " in bundle.manifest.made.command
    assert str(tmp_path / "tiny") in bundle.manifest.made.command
    _, stages = run(photos, tmp_path)
    assert set(stages) == {"reading"}  # nothing was left to do


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("trials: 0\narchitectures: [svm]", "trials"),
        ("trials: 1\narchitectures: [lstm]", "no 'lstm'; there are cifar_cnn"),
        ("trials: 1\narchitectures: [svm]\nparameters: {lr: 1}", "no 'lr'; there are learning_rate"),
        ("trials: 1\narchitectures: [svm]\nstrategies: {a: {speed: 1}}", "no 'speed'"),
        (
            "trials: 1\narchitectures: [svm]\nparameters: {zoom: 3}",
            "zoom: expected a number from 1 to 2, not 3",
        ),
        ("trials: 1\narchitectures: [svm]\nparameters: {batch: [8, x]}", "batch: expected a whole number"),
        ("trials: 1\narchitectures: [svm]\nparameters: {keep: {low: 0, high: 2}}", "keep: expected a number"),
        ("trials: 1\narchitectures: [svm]\nstrategies: {a: {optimizer: adam}}", "expected one of adamw, sgd"),
        ("trials: yes\narchitectures: [svm]", "trials"),
        ("trials: 1\nseed: -1\narchitectures: [svm]", "seed"),
        ("trials: 1\nseed: 4294967296\narchitectures: [svm]", "seed"),
        ("trials: 1\narchitectures: [svm]\nparameters: {keep: {low: 1, high: 0}}", "low up to high"),
        (
            "trials: 1\narchitectures: [svm]\nparameters: {mixup: {low: 0, high: 1, log: true}}",
            "above 0 with log",
        ),
        (
            "trials: 1\narchitectures: [svm]\nparameters: {batch: []}",
            "batch: expected a list of at least one",
        ),
        ("trials: 1\narchitectures: [svm]\nparameters: {init: 5}", "init: expected the name of initial"),
        *(
            (f"trials: 1\narchitectures: [svm]\nparameters: {{input_size: {size}}}", "number from 16 to 1024")
            for size in ("abc", 0, 20.5, 5000, "[32, 15]")
        ),
        ("trials: 1\ntrials: 2\narchitectures: [svm]", "'trials' occurs twice"),
        ("trials: [", "is not valid YAML"),
        ("trials: " + "9" * 5000, "is not valid YAML"),
        ("trials: 2026-13-45", "is not valid YAML"),
        ("[" * 20_000, "is not valid YAML"),
    ],
)
def test_wrong_plan_is_refused_by_key(tmp_path: Path, text: str, says: str):
    from models.training.sweep import read_plan

    (tmp_path / "sweep.yaml").write_text(text)
    with pytest.raises(DatasetError, match=says):
        read_plan(tmp_path / "sweep.yaml")
