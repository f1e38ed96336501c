from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle.bundle import Bundle, read_weights
from models.errors import ArchitectureError, BundleError
from models.networks import architectures
from models.training import initial_weights
from tests.models.conftest import options

pytestmark = pytest.mark.usefixtures("few_steps")


def never() -> list[np.ndarray]:
    raise AssertionError("a bundle needs no photos to begin from")


def test_bundle_gives_all_weights_where_the_labels_are_the_same(trained: Bundle):
    network = architectures.build("small_cnn", 3)
    assert initial_weights.initialise(str(trained.path), network, "small_cnn", trained.labels, never)
    theirs = read_weights(trained)
    assert all(
        np.array_equal(array, theirs[name].astype(np.float32)) for name, array in network.arrays.items()
    )


def test_bundle_of_other_labels_gives_all_but_the_last_layer(trained: Bundle):
    network = architectures.build("small_cnn", 2)
    assert not initial_weights.initialise(str(trained.path), network, "small_cnn", ("a", "b"), never)
    theirs = read_weights(trained)
    assert not network.head.kernel.numpy().any()
    assert all(
        np.array_equal(v.numpy(), theirs[v.path].astype(np.float32)) for v in network.features.variables
    )


def test_bundle_of_another_architecture_is_refused_before_any_photo_is_read(trained: Bundle, tmp_path: Path):
    from models.training.train import train

    with pytest.raises(BundleError, match="its architecture is small_cnn"):
        train(options(tmp_path, tmp_path, architecture="cifar_cnn", init=str(trained.path)))


def test_a_bundle_for_init_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert Path(initial_weights.chosen("mobilenet_v2", "cats_dogs")).parts[-2:] == ("models", "cats_dogs")
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert initial_weights.chosen("mobilenet_v2", "mine") == str(tmp_path / "models" / "mine")
    assert initial_weights.chosen("mobilenet_v2", None) == "imagenet"
    with pytest.raises(ArchitectureError, match=r"--init nothing-here: not found; expected imagenet, none"):
        initial_weights.chosen("mobilenet_v2", "nothing-here")


def test_a_failed_download_names_the_option_for_a_file(monkeypatch: pytest.MonkeyPatch):
    def offline(*_: object) -> None:
        raise ArchitectureError("ImageNet weights cannot be downloaded: no route to host")

    monkeypatch.setattr(architectures, "initialise_from_imagenet", offline)
    network = architectures.build("small_cnn", 2)
    with pytest.raises(ArchitectureError, match=r"no route to host.*--init FILE"):
        initial_weights.initialise("imagenet", network, "mobilenet_v2", ("a", "b"), never)


def test_network_without_imagenet_weights_starts_from_random_weights_or_a_bundle():
    with pytest.raises(ArchitectureError, match="none, or a bundle"):
        initial_weights.check("small_cnn", "imagenet")


@pytest.mark.long
def test_training_starts_from_a_bundle(trained: Bundle, photos: Path, tmp_path: Path):
    from models.training.train import train

    again = train(options(photos, tmp_path, epochs=1, learning_rate=1e-5, init=str(trained.path)))
    assert again.figures["accuracy"].value >= trained.figures["accuracy"].value - 0.1
    assert f"--init {trained.path}" in again.manifest.made.command
    assert (again.path / "history.png").read_bytes().startswith(b"\x89PNG")


def test_no_epochs_fit_the_last_layer_alone_even_where_the_labels_are_the_same(
    trained: Bundle, photos: Path, tmp_path: Path
):
    from models.training.train import train

    copy = Path(shutil.copytree(trained.path, tmp_path / "copy"))
    written = train(replace(options(photos, tmp_path, epochs=0, init=str(copy)), out=copy))
    assert (copy / "history.csv").read_bytes() == (trained.path / "history.csv").read_bytes()
    again, before = read_weights(written), read_weights(trained)
    changed = {name for name, array in before.items() if not np.array_equal(array, again[name])}
    assert changed == {"head/kernel", "head/bias"}


def test_the_last_layer_alone_is_fitted_to_photos_of_the_side_that_it_will_answer_at(
    trained: Bundle, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from models.training import train as training

    sides: list[int] = []
    fit = training.fit_head
    monkeypatch.setattr(
        training,
        "fit_head",
        lambda network, some, side, *rest: sides.append(side) or fit(network, some, side, *rest),
    )
    training.train(options(photos, tmp_path, epochs=0, small_epochs=3, input_size=64, init=str(trained.path)))
    assert sides == [64]
