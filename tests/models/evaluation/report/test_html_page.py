from __future__ import annotations

import dataclasses
import io
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.bundle.bundle import Bundle
from models.bundle.weights import pack
from models.bundle.write_bundle import compose, write
from models.calibration import softmax
from models.data.dataset import Photos
from models.errors import PackageMissing
from models.evaluation import evaluate as measuring
from models.evaluation.evaluate import Measured, evaluate
from models.evaluation.metrics.curves import curves
from models.evaluation.metrics.figures import measure
from models.evaluation.metrics.intervals import Share
from models.evaluation.metrics.predictions import Predictions
from models.evaluation.report import gallery, html_page, plots, wording
from models.inference import gradcam
from tests.models.conftest import make_photos, manifest
from tests.models.evaluation.conftest import no_explainer

HOSTILE = "<img src=x onerror=alert(1)>\u202egpj.&amp;'\".png"
VOID = {"meta", "img", "source", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """A page taken apart; fails where a tag is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Sixty photos, some answered wrongly, one with a name that would like to be HTML."""
    tmp_path = tmp_path_factory.mktemp("measured")
    packed = pack({"head/kernel": np.ones((4, 3)), "head/bias": np.zeros(3)})
    labels = ["cat", "<b>dog</b>", "neither"]
    content = manifest(labels=labels, folders={"cat": "cats", "<b>dog</b>": "dogs"})
    bundle = write(compose(tmp_path / "tiny", content, packed), packed)
    make_photos(tmp_path, "cat", 60)
    paths = [bytes(path) for path in sorted((tmp_path / "cat").iterdir())]
    hostile = tmp_path / HOSTILE
    Path(paths[0].decode()).rename(hostile)
    paths[0] = bytes(hostile)
    rng = np.random.default_rng(8)
    truth = rng.integers(0, 3, 60).astype(np.int16)
    truth[0] = 0
    values = softmax(3 * np.eye(3)[truth] + rng.normal(0, 1.5, (60, 3))).astype(np.float32)
    values[0] = (0.01, 0.98, 0.01)
    photos = Photos(bundle.labels, paths, truth, np.zeros(60, np.int8), ["web"] * 60)
    result = measure(bundle, photos, values, 0.9, {"size": ["1 to 128 px", "129 to 256 px"] * 30})
    return Measured(bundle, photos, Predictions.of(bundle, truth, values), result)


@pytest.fixture(scope="module")
def text(measured: Measured, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Its page."""
    out = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradcam, "open_explainer", no_explainer)  # TensorFlow takes seconds to import
        measuring.write(measured, out)
    return (out / "index.html").read_text()


def test_page_is_whole_and_needs_nothing_else(text: str):
    found = Page(text)
    assert len(found.all("h1")) == 1 and not found.all("script") and not found.all("link")
    assert "default-src 'none'" in found.all("meta")[2]["content"]
    for _, attributes in found.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "srcset", "href"):
            assert attributes.get(name, "#").startswith(
                ("#", "data:image/png;base64,", "data:image/jpeg;base64,")
            )
    assert all(image["alt"].strip() for image in found.all("img"))
    assert all(heading.get("scope") in ("row", "col") for heading in found.all("th"))
    assert (
        found.all("html")[0]["lang"] == "en"
        and "prefers-color-scheme: dark" in text
        and "@media print" in text
    )


def test_names_of_files_and_labels_are_text_and_no_html(text: str):
    found = Page(text)
    assert "onerror=alert(1)>" in "".join(found.words) and "<img src=x" not in text and "<b>dog" not in text
    assert "\u202e" not in text and "\\u202egpj" in text  # else it would turn the rest of the line round
    assert not found.all("b") or all(not attributes for attributes in found.all("b"))


def test_links_within_the_page_lead_somewhere(text: str):
    found = Page(text)
    ids = {attributes["id"] for _, attributes in found.tags if "id" in attributes}
    assert {link["href"].removeprefix("#") for link in found.all("a")} <= ids


def test_photo_that_is_gone_leaves_a_gap_and_no_error(measured: Measured, tmp_path: Path):
    gone = dataclasses.replace(measured.photos, paths=[b"/gone.jpg"] * 60)
    seen = gallery.GallerySource(measured.bundle, gone, measured.predictions, 0.5, None)
    gallery_items = gallery.gallery_items([seen], [0])
    assert gallery_items[0].picture is None
    html_page.write(measured.result, measured.bundle, [], gallery_items, [], 0, tmp_path)
    assert "cannot be read any more" in (tmp_path / "index.html").read_text()


def test_the_page_of_a_trained_bundle_has_heatmaps(trained: Bundle, tmp_path: Path):
    make_photos(tmp_path / "in", "cat", 6, seed=1)
    make_photos(tmp_path / "in", "dog", 3, seed=1, colour=(200, 40, 40))  # cats, labelled dog
    mine = tmp_path / "out/worst/holiday.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    evaluate(trained, [tmp_path / "in"], tmp_path / "out")
    assert mine.read_bytes() == b"mine"
    found = Page((tmp_path / "out/index.html").read_text())
    heatmaps = [image for image in found.all("img") if "Heatmap" in image["alt"]]
    assert len(heatmaps) >= 3 and {image["alt"].split(" support ")[-1] for image in heatmaps} == {"cat"}
    rows = (tmp_path / "out/worst.csv").read_text().splitlines()
    assert rows[0] == "number,path,label,prediction,probability,filed" and len(rows) >= 4
    assert all(row.split(",")[2:4] == ["dog", "cat"] for row in rows[1:4])
    for name in ("1.jpg", "1-why.jpg", "3.jpg", "3-why.jpg"):
        assert (tmp_path / "out/worst" / name).read_bytes().startswith(b"\xff\xd8")
    for name in ("confusion", "promises", "reliability", "risk_coverage", "roc", "pr"):
        assert Image.open(io.BytesIO((tmp_path / f"out/{name}.png").read_bytes())).size == (600, 480)


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_missing_packages_are_reported_before_measuring(
    package: str, plain_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(measuring, "scan", None)
    with pytest.raises(PackageMissing, match=rf"{package}.*pawsort\[train\]"):
        evaluate(plain_bundle, [tmp_path], tmp_path / "out")


def test_worst_mistakes_start_with_the_most_confident_of_each_kind(plain_bundle: Bundle):
    rows = [[0.1, 0.9, 0], [0.05, 0.95, 0], [0.4, 0.6, 0], [0.6, 0.4, 0], [0.9, 0.1, 0], [0.7, 0.1, 0.2]]
    truth = np.array([0, 0, 0, 1, 0, -1])
    predictions = Predictions.of(plain_bundle, truth, np.array(rows))
    # dog for a cat: 1, 0, 2; cat for a dog: 3; a stranger filed as a cat: 5; 4 is right
    assert gallery.worst(predictions, 0.5) == [1, 5, 3, 0, 2]
    assert gallery.worst(predictions, 0.5, most=2) == [1, 5]
    assert 5 not in gallery.worst(predictions, 0.8)


@pytest.mark.parametrize("count", [2, 12, 30])
def test_plots_take_any_number_and_any_name_of_labels(count: int, tmp_path: Path):
    names = [["$x^{", "_hidden", "猫", "a\nb", "neither"][i % 5] + str(i) for i in range(count)]
    packed = pack({"head/kernel": np.ones((4, 3))})
    content = manifest(labels=names, folders={names[0]: "zero"})
    content["self_test"]["probabilities"] = [[1 / count] * count]
    bundle = compose(tmp_path / "many", content, packed)
    rng = np.random.default_rng(1)
    truth = np.arange(4 * count).astype(np.int16) % count
    values = softmax(2 * np.eye(count)[truth] + rng.normal(0, 1, (len(truth), count))).astype(np.float32)
    photos = Photos(
        bundle.labels, [b""] * len(truth), truth, np.zeros(len(truth), np.int8), [""] * len(truth)
    )
    result = measure(bundle, photos, values, 0.9)
    drawn = curves(Predictions.of(bundle, truth, values))
    assert set(plots.draw(result, drawn, plots.DARK)) == set(html_page.TITLES)


def test_rounding_never_makes_a_figure_look_perfect():
    assert [wording.percent(v) for v in (None, 0.5, 0.9996, 0.99999, 1.0, 1 - 1e-12)] == [
        "–",
        "50.0%",
        "99.96%",
        "99.999%",
        "100.0%",
        "100.0%",
    ]
    assert wording.range_(Share(0.5, 0.25, 0.75, 9)) == "25.0% to 75.0%"
    assert wording.range_(Share(0.5, 0.25, 0.75, 9), plain=True) == "0.2500 to 0.7500"
