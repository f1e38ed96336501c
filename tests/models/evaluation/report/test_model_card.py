from __future__ import annotations

import re
import shlex
from dataclasses import replace

import numpy as np
import pytest

from models.bundle.bundle import Bundle
from models.bundle.manifest import Figure
from models.calibration import Threshold, softmax
from models.data.dataset import Photos
from models.evaluation.metrics.figures import Evaluation, measure
from models.evaluation.report import model_card


@pytest.fixture
def measured(plain_bundle: Bundle) -> Evaluation:
    rng = np.random.default_rng(8)
    truth = rng.integers(0, 3, 200).astype(np.int16)
    values = softmax(3 * np.eye(3)[truth] + rng.normal(0, 1.5, (200, 3))).astype(np.float32)
    sources = ["sofa" if i % 2 else "a|b<script>" for i in range(200)]
    photos = Photos(plain_bundle.labels, [b""] * 200, truth, np.zeros(200, np.int8), sources)
    return measure(plain_bundle, photos, values, 0.9, {"size": ["1 to 128 px", "129 to 256 px"] * 100})


def command_in(text: str) -> list[str]:
    found = re.search(r"    pawsort train .*?\n\n", text, re.DOTALL)
    assert found
    return shlex.split(found[0].replace("\\\n", ""))


def test_card_has_every_section_and_the_figures_with_their_intervals(
    plain_bundle: Bundle, measured: Evaluation
):
    text = model_card.text(plain_bundle, measured)
    sections = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert sections == ["Make it again", "Data", "Method", "Figures", "Where it fails", "Licence"]
    accuracy = measured.accuracy
    assert (
        accuracy.value
        and f"| {accuracy.value:.1%} | {accuracy.low:.1%} to {accuracy.high:.1%} | 200 |" in text
    )
    assert "| by longest side | photos |" in text and "| 1 to 128 px | 100 |" in text
    assert plain_bundle.sha256 in text and "called" in text.split("## Where it fails")[1]
    assert "    pawsort evaluate tiny photos --split test" in text


@pytest.mark.parametrize(
    "command",
    [
        "pawsort train photos --out tiny",
        "pawsort train '/a b/c' d --out x --architecture small_cnn --epochs 12 --folder 'cat=big cats' "
        "--init ../shared/weights/mobilenet_v2_imagenet.weights.h5 --learning-rate 0.001 --seed 7",
    ],
)
def test_the_card_has_the_command_of_the_training(command: str, plain_bundle: Bundle, measured: Evaluation):
    made = plain_bundle.manifest.made.model_copy(update={"command": command})
    object.__setattr__(plain_bundle, "manifest", plain_bundle.manifest.model_copy(update={"made": made}))
    text = model_card.text(plain_bundle, measured)
    assert command_in(text) == shlex.split(command)
    assert max(map(len, text.split("## Data")[0].split("## Make")[1].splitlines())) <= 110


def test_a_new_card_keeps_paragraphs_by_people_and_replaces_figures(
    plain_bundle: Bundle, measured: Evaluation
):
    path = model_card.write(plain_bundle, measured)
    first = path.read_text()
    edited = first.replace("not recorded yet.", "is CC0: all of it.").replace("| 200 |", "| 999 |")
    path.write_text(edited)
    assert model_card.write(plain_bundle, measured).read_text() == first.replace(
        "not recorded yet.", "is CC0: all of it."
    )


def test_photos_that_training_set_aside_are_not_measured_either(plain_bundle: Bundle, measured: Evaluation):
    command = "pawsort train photos --out tiny --exclude wrong.csv --seed 7"
    made = plain_bundle.manifest.made.model_copy(update={"command": command})
    object.__setattr__(plain_bundle, "manifest", plain_bundle.manifest.model_copy(update={"made": made}))
    assert "evaluate tiny photos --split test --exclude wrong.csv\n" in model_card.text(
        plain_bundle, measured
    )


def test_card_warns_if_the_photos_do_not_prove_the_precision(plain_bundle: Bundle, measured: Evaluation):
    def entry(proven: bool) -> dict[str, object]:
        shares = {"target_precision": 0.95, "threshold": 0.8, "precision": 1.0, "coverage": 0.5}
        return shares | {"proven": proven}

    for proven in (True, False):
        table = [Threshold.model_validate(entry(proven))]
        calibration = plain_bundle.calibration.model_copy(update={"thresholds": table, "photos": 104})
        manifest = plain_bundle.manifest.model_copy(update={"calibration": calibration})
        object.__setattr__(plain_bundle, "manifest", manifest)
        text = model_card.text(plain_bundle, measured)
        assert ("104 photos for calibration do not prove the promise of 90.0%" in text) is not proven
    assert "at least 22 filed ones" in text


def test_card_names_the_path_of_the_training_for_evaluate(plain_bundle: Bundle, measured: Evaluation):
    command = "pawsort train photos --out models/mine"
    made = plain_bundle.manifest.made.model_copy(update={"command": command})
    object.__setattr__(plain_bundle, "manifest", plain_bundle.manifest.model_copy(update={"made": made}))
    assert "    pawsort evaluate models/mine photos --split test" in model_card.text(plain_bundle, measured)


def test_card_has_the_figure_of_unseen_sources_if_there_is_one(plain_bundle: Bundle, measured: Evaluation):
    assert "trained without its source" not in model_card.text(plain_bundle, measured)
    name = "unseen_neither_filed_at_threshold"
    figures = {name: Figure(value=0.014, low=0.006, high=0.036, count=283)}
    manifest = plain_bundle.manifest.model_copy(update={"figures": figures})
    object.__setattr__(plain_bundle, "manifest", manifest)
    (line,) = [
        x for x in model_card.text(plain_bundle, measured).splitlines() if "trained without its source" in x
    ]
    assert "1.4%" in line and "0.6% to 3.6%" in line and "283" in line


def test_names_cannot_break_the_card(plain_bundle: Bundle, measured: Evaluation):
    text = model_card.text(plain_bundle, measured)
    assert "<script" not in text and "a\\|b&lt;script&gt;" in text
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("| cat/")]
    assert widths and set(widths) == {5}


def test_training_leaves_a_card(trained: Bundle):
    text = (trained.path / "README.md").read_text()
    assert command_in(text) == shlex.split(trained.manifest.made.command)
    accuracy = trained.figures["accuracy"]
    assert f"{100 * accuracy.value:.1f}%" in text and trained.sha256 in text


def test_the_card_says_for_which_mix_the_promise_is_proven_and_what_holds_in_others(
    plain_bundle: Bundle, measured: Evaluation
):
    data = {"cat": {"calibration": 30}, "dog": {"calibration": 45}, "neither": {"calibration": 30}}
    made = plain_bundle.manifest.made.model_copy(update={"data": data})
    unseen = {"unseen_neither_filed_at_threshold": Figure(value=0.1, low=0.0, high=0.2, count=50)}
    manifest = plain_bundle.manifest.model_copy(update={"made": made, "figures": unseen})
    object.__setattr__(plain_bundle, "manifest", manifest)
    share = replace(measured.at_threshold.precision, value=0.99)
    at = replace(measured.at_threshold, coverage=replace(share, value=0.9), precision=share)
    text = model_card.text(plain_bundle, replace(measured, at_threshold=at))
    assert "2.5 photos of a class with a folder to 1 of neither" in text
    assert "6 to 1: 97.2%, 2 to 1: 93.8%, 1 to 1: 89.1%" in text
    without = made.model_copy(update={"data": {"cat": {"calibration": 30}}})
    object.__setattr__(plain_bundle, "manifest", manifest.model_copy(update={"made": without}))
    assert "by photos with a folder to those of neither" not in model_card.text(plain_bundle, measured)
