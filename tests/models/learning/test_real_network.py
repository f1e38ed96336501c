"""Learning with the shipped network and real photos: an unknown group, a new class, wrong labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from models.bundle.bundle import Bundle, load, read_replay
from models.errors import BundleError
from models.evaluation.evaluate import predict
from models.inference.engines import answering, open_engine
from models.learning.photos import FiledPhoto, JudgedPhoto, Known
from models.learning.record import Learnt
from models.learning.version import seen_by
from tests.models.conftest import made_once
from tests.models.learning.conftest import Learner
from tests.support.documents_model import Shown, as_replay, features, model_of, photo_at, photos_in

pytestmark = pytest.mark.long

NEITHER = 2


@dataclass(frozen=True)
class Group:
    """Photos of one kind: 60 to judge, and the features of the others."""

    judged: Sequence[Shown]
    others: Known


@pytest.fixture(scope="session")
def relatives(knows_documents: Bundle, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Group:
    """Wild cats, foxes, wolves: the model that knows documents files half of them as cats or dogs."""
    return made_once(
        tmp_path_factory, "relatives", lambda _: group(knows_documents, shared_data, "near_relatives")
    )


@pytest.fixture(scope="session")
def pets(knows_documents: Bundle, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Group:
    """Rabbits, hamsters and other small pets."""
    kind = "small_pets"
    return made_once(tmp_path_factory, kind, lambda _: group(knows_documents, shared_data, kind))


def group(bundle: Bundle, data: Path, name: str) -> Group:
    shown = photos_in(data / "neither" / name)
    return Group(shown[:60], features(bundle, shown[60:130]))


@pytest.fixture(scope="session")
def animals(shared_data: Path) -> dict[str, list[Shown]]:
    """Cats and dogs, some of each split of training."""
    return {
        label: [photo_at(path) for path in sorted((shared_data / "cats_dogs" / label).iterdir())[::180]]
        for label in ("cat", "dog")
    }


def judged(group: Group, label: str, animals: dict[str, list[Shown]], count: int) -> list[JudgedPhoto]:
    known = [photo.judged(name) for name, shown in animals.items() for photo in shown[:count]]
    return [*(photo.judged(label) for photo in group.judged), *known]


def filed(bundle: Bundle, others: Known) -> float:
    return float(model_of(bundle).answers(as_replay(others, NEITHER))[0].filed.mean())


def base_accuracy(bundle: Bundle) -> float:
    replay = read_replay(bundle)
    assert replay is not None
    test = replay.part("test")
    return float((model_of(bundle).answers(test)[0].predicted == test.labels).mean())


def test_sixty_photos_of_an_unknown_group_keep_the_rest_of_it_out_of_the_folders(
    knows_documents: Bundle, relatives: Group, animals: dict[str, list[Shown]], learning: Learner
):
    wrongly = [FiledPhoto(photo.path, photo.sha256, id=i) for i, photo in enumerate(relatives.judged)]
    result, out = learning(judged(relatives, "neither", animals, 10), wrongly)
    bundle = answering(load(out))
    before, after = filed(knows_documents, relatives.others), filed(bundle, relatives.others)
    assert before > 0.4 and after <= before / 4
    assert base_accuracy(knows_documents) - base_accuracy(bundle) <= 0.002
    assert result.verdict.better and result.seconds < 120
    assert result.changed_among == 60 and len(result.changed) > 15
    assert {change.after for change in result.changed} == {"uncertain"}
    assert_complete(knows_documents, bundle, result, relatives)


def assert_complete(champion: Bundle, bundle: Bundle, result: Learnt, shown: Group) -> None:
    """Check what a version consists of, and that its network answers as its last layer does on features."""
    manifest = bundle.manifest
    assert manifest.name == result.name and manifest.answers_in == bundle.precision == "int8"
    assert read_replay(bundle) is not None and manifest.replay == champion.manifest.replay
    assert manifest.detector == champion.manifest.detector and bundle.multi_crop == champion.multi_crop
    assert bundle.calibration.photos > 600 and bundle.figures["accuracy"].count > 600
    assert "Learnt from 80 photos" in (bundle.path / "README.md").read_text()
    assert Learnt.model_validate_json((bundle.path / "learnt.json").read_text()) == result
    seen = seen_by(bundle)
    assert len(seen) == 80 and set(seen.values()) == {"train", "calibration", "test"}
    with pytest.raises(BundleError, match="learnt in int8"):
        answering(load(bundle.path), "tensorflow")
    few = shown.judged[:12]
    pixels = predict(bundle, open_engine(bundle).predict, [photo.path for photo in few])
    found = model_of(bundle).answers(as_replay(features(bundle, few), NEITHER))[0].probabilities
    np.testing.assert_allclose(found, pixels, atol=0.02)


def test_a_new_class_of_sixty_photos_is_recognised(
    knows_documents: Bundle, pets: Group, animals: dict[str, list[Shown]], learning: Learner
):
    result, out = learning(judged(pets, "pets", animals, 10))
    bundle = answering(load(out))
    assert bundle.labels == ("cat", "dog", "neither", "pets") and bundle.folders["pets"] == "pets"
    answers = model_of(bundle).answers(as_replay(pets.others, 3))[0]
    assert (answers.predicted == 3).mean() > 0.9  # recall
    replay = read_replay(bundle)
    assert replay is not None
    others = model_of(bundle).answers(replay.part("test"))[0].predicted
    assert (others == 3).mean() < 0.005  # of cats, dogs and documents
    assert base_accuracy(knows_documents) - base_accuracy(bundle) <= 0.002
    assert result.verdict.better and result.comparison.new_labels == ["pets"]
    again = answering(load(out))
    assert open_engine(again).name == "int8"


def test_wrong_labels_are_not_promoted_and_the_reason_says_why(
    relatives: Group, animals: dict[str, list[Shown]], learning: Learner
):
    rng = np.random.default_rng(3)
    right = judged(relatives, "neither", animals, 60)
    wrong = [
        photo._replace(label=_other(photo.label, rng)) if rng.random() < 0.3 else photo for photo in right
    ]
    result, _ = learning(wrong)
    assert not result.verdict.better and "labels seem wrong" in result.verdict.reason
    flipped = {one.sha256 for one, other in zip(right, wrong, strict=True) if one.label != other.label}
    named = {item.sha256 for item in result.comparison.contradictions}
    assert len(named & flipped) >= 0.9 * len(named) and named


def _other(label: str, rng: np.random.Generator) -> str:
    return str(rng.choice([name for name in ("cat", "dog", "neither") if name != label]))
