from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

import models
from db.queries.review import Settled
from models.bundle.bundle import Bundle, load
from models.bundle.manifest import EVALUATION
from models.inference.engines import answering
from models.training.options import TrainOptions
from pipeline.settings.sections import DecisionSettings
from pipeline.web.served_models import measured_figures, promised_figures
from pipeline.web.served_models.measured_figures import Confusion
from pipeline.web.views.formatting import percent
from tests.pipeline.web.conftest import HTML, TestClient, client_of
from tests.support.installation import Installation

SHIPPED = Path(models.__file__).parent / "cats_dogs"


def served() -> Bundle:
    """The shipped bundle in the precision that the pages answer in."""
    return answering(load(SHIPPED))


@pytest.fixture
def bundle(pawsort: Installation) -> Path:
    """A copy of the shipped bundle, which a test may spoil."""
    folder = pawsort.settings.base / "pets"
    shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns(EVALUATION))
    object.__setattr__(pawsort.settings, "model", str(folder))
    return folder


def test_each_model_has_a_card_and_the_workers_own_is_marked(visitor: TestClient) -> None:
    text = visitor.get("/models", headers=HTML).text
    assert 'href="/models/cats_dogs"' in text and "used by the worker" in text
    assert "cat, dog, neither" in text
    filed = served().figures["coverage_at_threshold"].value
    assert f"<dt>filed share of photos of a class</dt><dd>{filed:.1%}".replace("%", " %") in text


def test_a_model_shows_its_figures_its_history_and_its_card(visitor: TestClient) -> None:
    text = visitor.get("/models/cats_dogs", headers=HTML).text
    assert "95 % interval" in text and "Loss by epoch" in text
    assert "Make it again" in text, "a heading of its README"
    assert "No photo of this model has been checked" in text and "pawsort evaluate" in text


@pytest.mark.parametrize("key", ["nothing", "evaluation", "cats_dogs%2fREADME.md", "%00"])
def test_only_models_have_a_page(visitor: TestClient, key: str) -> None:
    assert visitor.get(f"/models/{key}", headers=HTML).status_code == 404


def test_what_people_said_stands_against_the_target(pawsort: Installation) -> None:
    sha256 = load(SHIPPED).sha256
    for number in range(3):
        pawsort.file(b"%d.jpg" % number, b"%d" % number, model_sha256=sha256)
    pawsort.correct(b"cats/0.jpg", label="cat")
    pawsort.correct(b"cats/1.jpg", label="dog")
    with client_of(pawsort) as client:
        text = client.get("/models/cats_dogs", headers=HTML).text
    assert "People have checked 2 of its photos" in text
    assert "<strong>50 %</strong> of the 2" in text
    assert "target of 99.5 %" in text or "too few to tell" in text


def test_an_interval_ends_where_its_share_does(pawsort: Installation) -> None:
    sha256 = load(SHIPPED).sha256
    for number in range(4):
        pawsort.file(b"%d.jpg" % number, b"%d" % number, model_sha256=sha256)
        pawsort.correct(b"cats/%d.jpg" % number, label="cat")
    with client_of(pawsort) as client:
        text = client.get("/models/cats_dogs", headers=HTML).text
    assert "<strong>100 %</strong> of the 4" in text and "(51 % to 100 %)" in text


def page_at(pawsort: Installation, **decision: float) -> str:
    """The page of the shipped model under these settings of `decision`."""
    asked = DecisionSettings.model_validate(decision)
    pawsort.settings = pawsort.settings.model_copy(update={"decision": asked})
    with client_of(pawsort) as client:
        text = client.get("/models/cats_dogs", headers=HTML).text
        cards = client.get("/models", headers=HTML).text
    shown = re.search(r"filed share of photos of a class[^0-9]*([0-9.]+ %)", cards)
    assert shown and shown[1] in text, "the page of all models says the same"
    return text


def figure_of(text: str, words: str) -> str | None:
    found = re.search(rf"<td>{re.escape(words)}( \*)?</td><td[^>]*><strong>([^<]*)</strong>", text)
    return found and found[2]


@pytest.mark.parametrize("target", [0.9, 0.98, 0.99, 0.998])
def test_figures_are_those_of_the_promise_in_force(pawsort: Installation, target: float) -> None:
    bundle = served()
    [entry] = [row for row in bundle.calibration.thresholds if row.target_precision == target]
    text = page_at(pawsort, target_precision=target)
    assert f"Target precision {percent(target)}" in text
    assert f"files are sorted from {percent(entry.threshold)} confidence" in text
    assert figure_of(text, "filed share of photos of a class") == percent(entry.coverage)
    right = figure_of(text, "precision of filed photos, neither included")
    assert right == percent(entry.precision)
    assert figure_of(text, "precision of filed photos") is None, "that was measured at another promise"
    assert figure_of(text, "accuracy, all photos") == percent(bundle.figures["accuracy"].value)


def test_the_promise_that_was_measured_shows_what_was_measured(pawsort: Installation) -> None:
    text = page_at(pawsort, target_precision=0.995)
    filed = served().figures["coverage_at_threshold"].value
    assert figure_of(text, "filed share of photos of a class") == percent(filed)
    assert "yours is another" not in text


def test_a_confidence_in_the_settings_is_what_counts(pawsort: Installation) -> None:
    text = page_at(pawsort, min_confidence=0.8, target_precision=0.995)
    assert "Files are sorted from 80 % confidence" in text and "Target precision" not in text
    below = max(e.threshold for e in served().calibration.thresholds if e.threshold <= 0.8)
    assert f"filed from {percent(below)} confidence" in text, "the next row of the table that files no less"


@pytest.mark.parametrize(
    ("command", "target"),
    [
        ("pawsort train x --target-precision 0.9", 0.9), ("pawsort train x --target-precision=0.9", 0.9),
        ("pawsort train x", 0.995), ("'", 0.995), ("pawsort --target-precision", 0.995), ("", 0.995),
    ],
)  # fmt: skip
def test_what_was_measured_stands_in_the_command(command: str, target: float) -> None:
    assert promised_figures._measured_at(command) == target
    assert TrainOptions.__dataclass_fields__["target_precision"].default == promised_figures.USUAL


def test_what_evaluate_wrote_beside_a_bundle_is_shown(pawsort: Installation, bundle: Path) -> None:
    folder = bundle / "evaluation"
    folder.mkdir()
    (folder / "confusion.csv").write_text("true,cat,dog\ncat,9,1\ndog,0,10\n")
    (folder / "curves.csv").write_text(
        "curve,of,x,y\nreliability,,0.5,0.6\nreliability,,1,0.9\nroc,cat,0,0\n"
    )
    head = "number,path,label,prediction,probability,filed\n"
    rest = ",odd.jpg,dog,cat,0.9,1\n"
    (folder / "worst.csv").write_text(f"{head}1,<b>.jpg,dog,cat,0.9,1\n../2{rest}{'9' * 5000}{rest}")
    (bundle / "README.md").write_text("# x\n\n<script>alert(1)</script>")
    with client_of(pawsort) as client:
        text = client.get("/models/pets", headers=HTML).text
    assert "Confusion matrix" in text and "Accuracy by confidence" in text
    assert "&lt;b&gt;.jpg" in text and "odd.jpg" not in text and "/worst/" not in text
    assert "<script>alert" not in text


def test_the_worst_mistakes_are_shown_as_pictures_of_our_own(pawsort: Installation, bundle: Path) -> None:
    folder = bundle / "evaluation" / "worst"
    folder.mkdir(parents=True)
    rows = "".join(f"{number},{number}.jpg,dog,cat,0.9,1\n" for number in (1, 2))
    (folder.parent / "worst.csv").write_text("number,path,label,prediction,probability,filed\n" + rows)
    Image.new("RGB", (40, 30)).save(folder / "1.jpg", comment=b"secret")
    (folder / "2.jpg").symlink_to(folder / "1.jpg")
    with client_of(pawsort) as client:
        text = client.get("/models/pets", headers=HTML).text
        shown = client.get("/models/pets/worst/1")
        refused = [client.get(f"/models/pets/worst/{which}") for which in ("1?why=true", "2", "../../bundle")]
    assert 'src="/models/pets/worst/1"' in text
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")
    assert b"secret" not in shown.content
    assert [answer.status_code for answer in refused] == [404, 404, 404]


def test_files_that_are_not_tables_are_left_out(pawsort: Installation, bundle: Path) -> None:
    folder = bundle / "evaluation"
    folder.mkdir()
    (folder / "confusion.csv").write_bytes(b"\xff\x00,\n")
    (folder / "curves.csv").symlink_to("/etc/passwd")
    (folder / "worst.csv").mkdir()
    (bundle / "history.csv").write_text("epoch,train_loss\n1,nan?\n")
    with client_of(pawsort) as client:
        assert client.get("/models/pets", headers=HTML).status_code == 200


def test_a_broken_model_is_said_and_the_other_pages_go_on(pawsort: Installation, bundle: Path) -> None:
    (bundle / "bundle.yaml").write_text("x")
    id = pawsort.file(b"a.jpg", outcome="uncertain", reason="low_confidence")
    with client_of(pawsort) as client:
        for path in ("/models", "/review", "/browse", "/today", "/reports", f"/files/{id}"):
            assert client.get(path, headers=HTML).status_code == 200, path


# --- numbers, on their own ---


def test_the_share_of_a_row_is_its_colour() -> None:
    found = Confusion(("a", "b"), ("a", "b"), {("a", "a"): 9, ("a", "b"): 1})
    assert (found.share("a", "a"), found.share("b", "a")) == (0.9, 0.0)
    assert [found.heat("a", "a"), found.heat("a", "b"), found.heat("b", "b")] == [5, 1, 0]


def test_only_what_the_model_filed_itself_tells_how_a_class_held_up() -> None:
    def part(verdict: str, said: str, count: int) -> Settled:
        return Settled("m", "s", verdict, "cat", said, count)

    found = measured_figures.kept(
        [part("cats", "cat", 98), part("cats", "dog", 2), part("uncertain", "dog", 50)],
        {"cat": "cats", "dog": "dogs"},
    )
    [kept] = found
    assert (kept.label, kept.right, kept.looked_at, kept.share) == ("cat", 98, 100, 0.98)
    assert 0.92 < kept.low < 0.98 < kept.high < 1


def test_what_people_said_is_set_against_what_the_model_took_it_for() -> None:
    found = measured_figures.live_confusion(
        [Settled("m", "s", "uncertain", "neither", "cat", 2), Settled("m", "s", "cats", "cat", "cat", 5)]
    )
    assert found is not None
    assert (found.truths, found.said) == (("cat",), ("cat", "neither"))
    assert found.counts == {("cat", "neither"): 2, ("cat", "cat"): 5}
    assert measured_figures.live_confusion([]) is None
