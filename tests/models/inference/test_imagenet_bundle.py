from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from models.bundle.weights import pack
from models.bundle.write_bundle import compose, write
from models.errors import BundleError
from models.images.decode import decode
from models.inference import imagenet_bundle
from models.networks import architectures
from tests.models.conftest import manifest


def keep(cache: Path, name: str) -> Path:
    packed = pack({"head/bias": np.zeros(3)})
    return write(compose(cache / name, manifest(folders={}), packed), packed).path


def test_names_are_a_thousand_and_differ():
    assert len(imagenet_bundle.labels()) == len(set(imagenet_bundle.labels())) == 1000
    assert (imagenet_bundle.labels()[0], imagenet_bundle.labels()[285], imagenet_bundle.labels()[-1]) == (
        "tench",
        "Egyptian cat",
        "toilet tissue",
    )


def test_model_that_was_made_before_is_taken_without_weights(tmp_path: Path):
    kept = keep(tmp_path, "imagenet-abc")
    assert imagenet_bundle.open_imagenet(None, tmp_path).path == kept


def test_weights_that_are_missing_or_none_are_named(tmp_path: Path):
    with pytest.raises(BundleError, match=r"gone\.h5: cannot be read"):
        imagenet_bundle.open_imagenet(tmp_path / "gone.h5", tmp_path)


def test_without_the_internet_one_error_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def offline(weights: str) -> None:
        raise Exception("URL fetch failure on https://storage: None -- Name or service not known")

    monkeypatch.setattr(architectures.keras.applications, "MobileNetV2", offline)
    monkeypatch.setattr(
        architectures, "build", lambda name, _: SimpleNamespace(model=SimpleNamespace(name=name))
    )
    with pytest.raises(BundleError, match=r"cannot be downloaded.*--weights FILE"):
        imagenet_bundle.open_imagenet(None, tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.long
def test_photos_are_named_by_the_real_weights(tmp_path: Path, shared_data: Path):
    from models.inference.engines import open_engine

    bundle = imagenet_bundle.open_imagenet(
        shared_data.parent / "weights/mobilenet_v2_imagenet.weights.h5", tmp_path
    )
    photos = [shared_data / f"neither/objects/in_{i:05}.jpg" for i in (0, 100, 400)]
    images = np.stack([decode(photo.read_bytes(), bundle.input_size) for photo in photos])
    best = open_engine(bundle, "tensorflow").predict(images).argmax(axis=1)
    assert [bundle.labels[i] for i in best] == ["tench", "black swan", "cuirass"]
    assert not bundle.folders and bundle.path.parent == tmp_path
