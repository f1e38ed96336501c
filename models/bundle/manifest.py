"""The schema of `bundle.yaml`, validated by pydantic.

Field names are the file format: bundles made by earlier versions must keep loading.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.calibration import Share, Threshold

SCHEMA_VERSION = 1
LARGEST_FILE = 16_000_000  # bytes; keeps the repository small
LARGEST_UNPACKED = 64_000_000  # bytes of an archive's members together

LEAST_PIXELS, MOST_PIXELS = 16, 1024  # side of a network's input

EVALUATION = "evaluation"
"""The folder in a bundle that the pages read figures from; `evaluate --out` may write there."""

RECIPE = "blocks-1"
"""How the self-test's input is made, see `models.inference.self_test_images`."""

MOST_ZOOM = 2.0
"""Above it, the four crops would leave out the middle of a photo."""

NEITHER_BELOW = 0.9
"""The probability of `neither` from which no crops are tried: many photos of neither stay a bit below 1, and
crops of them rarely show an animal. It can only keep photos out of folders."""


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class _File(_Section):
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(gt=0, le=LARGEST_FILE)


class Weights(_File):
    """The file of arrays, and its checksum."""

    file: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\.npz$")


class Archive(_File):
    """The file of a network in OpenVINO's form, and its checksum; see `openvino_archive`."""

    file: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\.zip$")


class ReplayFile(_File):
    """The file of features that the last layer can be fitted again with, and its checksum; see `replay`."""

    file: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\.npz$")
    precision: Literal["float32", "int8"]  # of the network that gave the features


class Calibration(_Section):
    """The temperature of the probabilities, and the table of thresholds."""

    temperature: float = Field(gt=0)
    photos: int = Field(ge=0)
    bound: Share
    thresholds: list[Threshold] = Field(min_length=1)


class MultiCrop(_Section):
    """When multi-crop inference runs and how crops are weighted; fitted by training."""

    below: Share  # crops are tried where the highest probability is under this
    zoom: float = Field(ge=1, le=MOST_ZOOM)  # magnification of the crops
    whole: float = Field(ge=0, le=10)  # weight of the log probabilities of the whole photo
    parts: float = Field(ge=0, le=10)  # weight of the mean log probabilities of its crops
    strongest: float = Field(ge=0, le=10)  # weight of the crop with the most of a label, or least `neither`
    neither_below: Share = NEITHER_BELOW  # no crops from this probability of `neither` on

    def side(self, size: int) -> int:
        """Return the side in pixels to decode a photo to, for a network with inputs of `size` pixels."""
        return round(size * self.zoom)


class Detector(_Section):
    """The network that finds animals, and how `models.inference.box_crops` uses its boxes."""

    network: Archive
    labels: list[str] = Field(min_length=1, max_length=64)  # in the order of its scores
    side: int = Field(ge=64, le=2048)  # pixels that a photo is decoded to, for the detector and its crops
    score: Share  # boxes of a lower score are ignored
    crops: int = Field(ge=1, le=8)  # of a photo at most, one for each box
    margin: float = Field(ge=0, le=2)  # how much larger than its box a crop is, as a share of both sides
    second_above: Share  # photos are asked too whose second label with a folder is more probable than this
    both: Share  # crops of two labels with a folder, both at least this probable: the photo shows both
    neither_below: Share = 0.99  # no boxes are looked for from this probability of `neither` on


class SelfTest(_Section):
    """A fixed input, made by a recipe, and its expected probabilities."""

    recipe: str = Field(pattern=f"^{RECIPE}$")
    seed: int = Field(ge=0, lt=2**63)
    tolerance: Share
    probabilities: list[list[Share]] = Field(min_length=1, max_length=64)


class Figure(_Section):
    """One measured number, with a 95% interval where it is a share of `count` cases."""

    value: float
    low: float | None = None
    high: float | None = None
    count: int = Field(ge=0)


class Int8(_Section):
    """The network in int8, as OpenVINO runs it: calibrated, tested and measured in that precision."""

    network: Archive
    calibration: Calibration
    closer_look: MultiCrop | None = None
    self_test: SelfTest
    figures: dict[str, Figure]


class Made(_Section):
    """The data and the command that the bundle was made with."""

    command: str
    at: str
    seed: int
    data: dict[str, dict[str, int]]  # label -> split -> photos
    set_aside: int = Field(ge=0)  # files that were not used: not photos, or duplicates
    held_out_sources: dict[str, str]  # source of `neither` -> its only split
    versions: dict[str, str]


class Manifest(_Section):
    """The contents of `bundle.yaml`; calibration, self-test and figures at the top are those of float32."""

    schema_version: int = Field(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)
    name: str = Field(min_length=1)
    architecture: str
    labels: list[str] = Field(min_length=2)
    folders: dict[str, str]  # label -> folder; empty where the model files nothing
    input_size: int = Field(ge=LEAST_PIXELS, le=MOST_PIXELS)
    weights: Weights
    calibration: Calibration
    closer_look: MultiCrop | None = None
    detector: Detector | None = None
    replay: ReplayFile | None = None
    answers_in: Literal["float32", "int8"] | None = None  # alone; a last layer fitted to features of it
    sketches: dict[str, Any] | None = None  # of bundles made by version 0.2 and before; not used
    self_test: SelfTest
    figures: dict[str, Figure]
    int8: Int8 | None = None
    made: Made

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must differ from each other")
        if not set(self.folders) <= set(self.labels):
            raise ValueError("folders must be given for labels and for nothing else")
        if self.detector and not set(self.detector.labels) <= set(self.folders):
            raise ValueError("detector.labels must be labels with a folder")
        tests = [self.self_test] + ([self.int8.self_test] if self.int8 else [])
        if any(len(row) != len(self.labels) for test in tests for row in test.probabilities):
            raise ValueError("self_test.probabilities must have a column for each label")
        if any(
            not folder or folder.startswith(".") or {"/", "\0"} & set(folder)
            for folder in self.folders.values()
        ):
            raise ValueError("a folder must be a plain name")
        return self
