"""Write a challenger as a complete bundle: networks with the new last layer, calibration, figures, card."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import openvino_archive
from models.bundle.bundle import Bundle, read_int8, read_weights
from models.bundle.manifest import SCHEMA_VERSION
from models.bundle.openvino_archive import Network
from models.bundle.package_versions import package_versions
from models.bundle.replay import PARTS, Replay, unpack
from models.bundle.replay import pack as pack_replay
from models.bundle.weights import pack
from models.bundle.write_bundle import compose, files_of, write
from models.bundle.write_bundle import replace as replace_file
from models.data.dataset import Photos
from models.errors import BundleError
from models.evaluation.metrics import figures
from models.evaluation.metrics.figures import Evaluation
from models.evaluation.report import model_card
from models.inference import self_test_images
from models.inference.engines import open_engine
from models.inference.outputs import NetworkOutputs, of_float32, of_int8
from models.inference.record_self_test import record_self_test
from models.learning.fitting.attach import with_head
from models.learning.fitting.head import Head
from models.learning.fitting.last_layer import Calibration, Material, predictions
from models.networks import architectures

COMMAND = "pawsort learn"
JUDGED = "judged.csv"
_DIFFERS = 0.01  # logits of the written network and of the layer that was fitted


@dataclass(frozen=True, slots=True)
class Challenger:
    """A fitted and calibrated last layer for a champion."""

    champion: Bundle  # in the precision that it answers in
    name: str
    folders: Mapping[str, str]
    material: Material
    head: Head
    calibration: Calibration
    target_precision: float


def outputs_of(bundle: Bundle) -> NetworkOutputs:
    """Return the outputs of a bundle's network in its precision. Raises BundleError."""
    if bundle.precision == "int8":
        return of_int8(read_int8(bundle), bundle.input_size)
    network = architectures.restored(bundle.architecture, len(bundle.labels), read_weights(bundle))
    return of_float32(network, bundle.input_size)


def write_version(challenger: Challenger, out: Path, seed: int) -> Bundle:
    """Write the bundle into a new folder, and run its self-test. Raises BundleError."""
    champion, head = challenger.champion, challenger.head
    arrays = head.arrays(read_weights(champion))
    int8 = with_head(read_int8(champion), head) if champion.precision == "int8" else None
    outputs = _outputs(challenger, arrays, int8)
    _check(outputs, head)
    _, _, detector, stored = files_of(champion)
    replay = replay_of(stored, challenger.material.base, len(champion.labels))
    archive = openvino_archive.pack(int8) if int8 else None
    files = pack(arrays), archive, detector, replay
    section = _section(challenger, outputs)
    draft = compose(out, _content(challenger, section, seed), *files).in_precision(champion.precision)
    measured = _measured(draft, challenger)
    section["figures"] = {name: figure.model_dump() for name, figure in measured.figures().items()}
    written = write(compose(out, _content(challenger, section, seed), *files), *files)
    bundle = written.in_precision(champion.precision)
    open_engine(bundle, "int8" if int8 else "tensorflow")
    _write_card(bundle, challenger, measured, _left_out(stored, challenger.material))
    return bundle


def replay_of(stored: bytes | None, base: Replay, labels: int) -> bytes | None:
    """Return the replay for a version: `stored`, or `base` where photos of a new label left it.

    In the next version the label is not new: they would count as mistakes, and raise the thresholds.
    """
    if stored is None or len(unpack(stored, labels)) == len(base):
        return stored
    return pack_replay(base)


def write_judged(out: Path, rows: list[tuple[str, str, str]]) -> None:
    """Write `judged.csv`: SHA-256, label and split of each judged photo."""
    text = io.StringIO()
    csv.writer(text).writerows([("sha256", "label", "split"), *rows])
    replace_file(out / JUDGED, text.getvalue().encode())


def seen_by(bundle: Bundle) -> dict[str, str]:
    """Return the judged photos that a learnt bundle has used, SHA-256 -> split; none for another bundle."""
    try:
        text = (bundle.path / JUDGED).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    return {row["sha256"]: row["split"] for row in csv.DictReader(io.StringIO(text, newline=""))}


def _outputs(
    challenger: Challenger, arrays: Mapping[str, np.ndarray], int8: Network | None
) -> NetworkOutputs:
    champion = challenger.champion
    if int8:
        return of_int8(int8, champion.input_size)
    network = architectures.restored(champion.architecture, len(challenger.material.labels), arrays)
    return of_float32(network, champion.input_size)


def _check(outputs: NetworkOutputs, head: Head) -> None:
    """Raise BundleError unless the network gives the logits that the fitted layer gives for its features."""
    logits, features = outputs.run(self_test_images.images(1, 4, outputs.size))
    worst = float(np.abs(head.logits(features) - logits).max())
    if not worst <= _DIFFERS:
        raise BundleError(
            f"the network with the new last layer answers otherwise than this layer, by {worst:.3f} in a "
            "logit; nothing was learnt"
        )


def _section(challenger: Challenger, outputs: NetworkOutputs) -> dict[str, Any]:
    corners = challenger.champion.multi_crop
    predict = outputs.predict_fn(challenger.calibration.temperature)
    return {
        "calibration": challenger.calibration.table,
        "closer_look": corners.model_dump() if corners else None,
        "self_test": record_self_test(predict, outputs.size, outputs.precision),
        "figures": {},
    }


def _content(challenger: Challenger, section: dict[str, Any], seed: int) -> dict[str, Any]:
    champion = challenger.champion
    content = champion.manifest.model_dump(exclude={"weights", "int8", "sketches"}, exclude_none=True)
    int8 = champion.precision == "int8"
    return content | {
        "schema_version": SCHEMA_VERSION,
        "name": challenger.name,
        "labels": list(challenger.material.labels),
        "folders": dict(challenger.folders),
        **section,
        **({"int8": section, "answers_in": "int8"} if int8 else {}),
        "replay": {"precision": champion.precision},
        "made": {
            "command": COMMAND,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seed": seed,
            "data": _counts(challenger.material),
            "set_aside": 0,
            "held_out_sources": {},
            "versions": package_versions(),
        },
    }


def _counts(material: Material) -> dict[str, dict[str, int]]:
    both = (material.base, material.own)
    return {
        label: {
            name: sum(int(((r.labels == place) & (r.parts == part)).sum()) for r in both)
            for part, name in enumerate(PARTS)
        }
        for place, label in enumerate(material.labels)
    }


def _measured(draft: Bundle, challenger: Challenger) -> Evaluation:
    material = challenger.material
    parts = [material.base.part("test"), material.own.part("test")]
    given = [
        predictions(part, challenger.head, challenger.calibration.temperature, material.crops).refined
        for part in parts
    ]
    photos = _photos(parts, material.labels)
    probabilities = np.concatenate([refined.probabilities for refined in given])
    result = figures.measure(draft, photos, probabilities, challenger.target_precision)
    return replace(result, split="test")


def _photos(parts: list[Replay], labels: tuple[str, ...]) -> Photos:
    truth = np.concatenate([part.labels for part in parts])
    sources = [source for part in parts for source in part.sources]
    return Photos(labels, [b""] * len(truth), truth, np.zeros(len(truth), np.int8), sources)


def _left_out(stored: bytes | None, material: Material) -> str:
    """Say how many photos of the replay that seem to show a new label are not counted; empty for none."""
    whole = len(unpack(stored, material.known)) if stored and material.new else 0
    count = whole - len(material.base)
    if not whole or not count:
        return ""
    seem = f"seem to show {' or '.join(material.new)}"
    return (
        f" {count:,} photos of neither {seem}, for which there was no label before: they were left out, and "
        "no figure here counts them, so that the share of neither filed is lower than it was."
    )


def _write_card(bundle: Bundle, challenger: Challenger, measured: Evaluation, left_out: str) -> None:
    """Write the card; what people wrote of the champion's data and licence holds for this version too."""
    own, champion = challenger.material.own, challenger.champion
    card = champion.path / model_card.NAME
    kept = model_card.kept_of(card.read_text(encoding="utf-8", errors="replace")) if card.is_file() else {}
    kept["about"] = (
        f"Learnt from {len(own):,} photos that people judged, and from features of "
        f"{len(challenger.material.base):,} photos of the model before, `{champion.name}`: the last layer "
        "was fitted again, the layers below are the same. `learnt.json` says how it compares, `judged.csv` "
        f"which photos were used, by SHA-256.{left_out}"
    )
    kept.pop("method", None)
    kept.pop("fails", None)
    text = model_card.text(bundle, measured, kept)
    replace_file(bundle.path / model_card.NAME, text.encode())
