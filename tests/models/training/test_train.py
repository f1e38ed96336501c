from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle.bundle import Bundle, load
from models.errors import BundleError, DatasetError, RecipeError
from tests.models.conftest import make_photos, options

pytestmark = pytest.mark.usefixtures("few_steps")


def test_training_writes_a_bundle_that_loads_and_records_its_making(trained: Bundle):
    again = load(trained.path)
    assert again == trained
    assert again.labels == ("cat", "dog", "neither")
    assert dict(again.folders) == {"cat": "cats", "dog": "dog"}
    assert (
        again.manifest.made.command.startswith("pawsort train ")
        and "--set epochs=3" in again.manifest.made.command
    )
    assert "--folder cat=cats" in again.manifest.made.command
    assert again.manifest.made.set_aside == 1  # the text file among the photos
    assert sorted(again.manifest.made.held_out_sources.values()) == ["calibration", "test"]


def test_figures_and_history_are_written(trained: Bundle):
    assert trained.figures["accuracy"].count == sum(d["test"] for d in trained.manifest.made.data.values())
    with open(trained.path / "history.csv", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]


def test_colours_are_learnt(trained: Bundle):
    assert trained.figures["accuracy_with_folder"].value > 0.9


@pytest.mark.usefixtures("one_layer")
def test_interrupted_run_is_resumed_with_the_same_options_alone(photos: Path, tmp_path: Path):
    from models.training.fine_tuning import has_checkpoint
    from models.training.train import train

    def stop_after_first_epoch(progress):
        if progress.metrics:
            raise KeyboardInterrupt

    asked, stages = options(photos, tmp_path, epochs=2), []
    with pytest.raises(KeyboardInterrupt):
        train(asked, stop_after_first_epoch)
    assert not has_checkpoint(tmp_path / "work/tiny.npz", "other options")
    train(asked, lambda p: stages.append(p.stage))
    assert stages.count("training") == 1  # the second epoch alone was left to do
    assert len((tmp_path / "tiny" / "history.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"architecture": "big_cnn"}, "mobilenet_v2, .*small_cnn"),
        ({"init": "imagenet"}, "init none"),
        ({"epochs": 0}, "epochs"),
    ],
)
def test_impossible_options_are_refused_before_any_photo_is_read(
    tmp_path: Path, changes: dict[str, object], says: str
):
    from models.training.train import train

    with pytest.raises(Exception, match=says):
        train(options(tmp_path, tmp_path, **changes))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (".", "with a name"), ("", "with a name"), ("x" * 201, "200 bytes"), ("\udcf6", "not UTF-8"),
        ("a_file", "is not a folder"), ("a_file/below", "is not a folder|Not a directory"),
        ("x/" * 2100 + "y", "too long"), ("project", r"README\.md and is no bundle"),
    ],
    ids=["dot", "empty", "long name", "bytes", "file", "below a file", "long path", "files of others"],
)  # fmt: skip
def test_a_bundle_that_could_not_be_written_is_refused_before_any_photo_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
):
    from models.training.train import train

    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_file").write_text("")
    (tmp_path / "project").mkdir()
    (tmp_path / "project/README.md").write_text("of the user")
    with pytest.raises(DatasetError, match=f"--out .*({says})"):
        train(replace(options(tmp_path / "none", tmp_path), out=Path(name)))
    assert (tmp_path / "project/README.md").read_text() == "of the user"


def test_a_bundle_may_be_written_again(trained: Bundle):
    from models.training.train import check_out

    check_out(trained.path)


@pytest.mark.parametrize("detector", ["nothing", "without"])
def test_a_detector_that_cannot_be_taken_over_is_refused_before_any_photo_is_read(
    photos: Path, plain_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, detector: str
):
    from models.data import dataset
    from models.training.train import train

    monkeypatch.setattr(dataset, "read", None)
    chosen = plain_bundle.path if detector == "without" else Path("nothing")
    with pytest.raises(BundleError, match=r"no detector|no bundle here"):
        train(options(photos, plain_bundle.path.parent, detector=chosen))


def test_the_classes_must_have_the_labels_of_the_detector(photos: Path, tmp_path: Path):
    from models.training.export import check_detector

    shipped = options(photos, tmp_path, detector=Path("cats_dogs"))
    check_detector(shipped, {"cat": "cats", "dog": "dogs"})
    with pytest.raises(DatasetError, match="it finds 'dog'"):
        check_detector(shipped, {"cat": "cats", "fox": "foxes"})


@pytest.mark.usefixtures("one_layer")
def test_a_detector_whose_crops_cannot_be_fitted_is_said_to_be_unused(
    photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    from models.training.train import train

    bundle = train(options(photos, tmp_path, epochs=1, detector=Path("cats_dogs")))
    assert bundle.manifest.detector and bundle.multi_crop is None
    assert "does not use its detector" in caplog.text


@pytest.mark.usefixtures("one_layer")
def test_photos_in_folders_that_are_not_utf8_train_a_bundle(photos: Path, tmp_path: Path):
    from models.training.train import train

    odd = tmp_path / "ph\udcf6tos"
    shutil.copytree(photos / "pets", odd / "pets")
    for number, source in enumerate(sorted((photos / "neither").iterdir())):
        if source.is_dir():
            shutil.copytree(source, odd / f"neither/{number}\udcff")
    bundle = train(options(odd, tmp_path, epochs=1))
    assert r"ph\xf6tos" in bundle.manifest.made.command
    assert {r"\xff" in source for source in bundle.manifest.made.held_out_sources} == {True}


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_no_checkpoint_is_not_gone_on_with(tmp_path: Path, content: bytes):
    from models.training.fine_tuning import has_checkpoint

    (tmp_path / "tiny.npz").write_bytes(content)
    assert not has_checkpoint(tmp_path / "tiny.npz", "fingerprint")


def test_folder_for_an_unknown_class_is_refused(photos: Path, tmp_path: Path):
    from models.training.train import train

    with pytest.raises(DatasetError, match="bird"):
        train(options(photos, tmp_path, epochs=1, folder_names={"bird": "birds"}))


def test_weights_that_are_none_are_refused(photos: Path, tmp_path: Path):
    from models.errors import ArchitectureError
    from models.training.train import train

    (tmp_path / "x.weights.h5").write_text("not weights")
    with pytest.raises(ArchitectureError, match=r"x\.weights\.h5"):
        train(options(photos, tmp_path, architecture="mobilenet_v2", init=str(tmp_path / "x.weights.h5")))


@pytest.mark.parametrize("variance", [1.0, 0.999])  # 0.999 and epsilon are 1, as in the weights by Coral
def test_folded_statistics_are_restored_without_changing_the_function(variance: float):
    from models.networks import architectures

    network = architectures.build("small_cnn", 2)
    rng = np.random.default_rng(1)
    for layer in network.features.layers:
        if hasattr(layer, "beta"):
            layer.beta.assign(rng.normal(0, 0.5, layer.beta.shape))
            layer.moving_variance.assign(np.full(layer.moving_variance.shape, variance))
    photos = rng.integers(0, 256, (16, 32, 32, 3)).astype(np.uint8)
    before = network.features(photos, training=False).numpy()
    assert architectures.statistics_are_folded(network)
    architectures.restore_statistics(network, [photos[:8], photos[8:]])
    assert not architectures.statistics_are_folded(network)
    np.testing.assert_allclose(network.features(photos, training=False).numpy(), before, rtol=1e-3, atol=1e-4)
    in_training = network.features(photos, training=True).numpy()  # the statistics are those of the photos
    np.testing.assert_allclose(in_training, before, rtol=0.05, atol=0.02)


def test_small_photos_train_the_first_epochs():
    from models.networks.recipes import Recipe
    from models.training.fine_tuning import Schedule

    recipe = Recipe(learning_rate=1e-3, epochs=3, small_epochs=2)
    schedule = Schedule(recipe, 224, frozen_statistics=True, seed=1)
    assert [schedule.size_at(epoch) for epoch in range(3)] == [160, 160, 224]


@pytest.mark.usefixtures("one_layer")
def test_two_classes_without_neither_make_a_bundle_too(tmp_path: Path):
    from models.training.train import train

    for name in ("red", "blue"):
        make_photos(tmp_path / "photos", name, 30, colour=(200, 0, 0) if name == "red" else (0, 0, 200))
    bundle = train(options(tmp_path, tmp_path, folders=[tmp_path / "photos"], folder_names={}, epochs=1))
    assert bundle.labels == ("blue", "red") and dict(bundle.folders) == {"blue": "blue", "red": "red"}
    assert "neither_auroc" not in bundle.figures


def test_blend_moves_weights_part_of_the_way_back():
    from models.networks import architectures
    from models.training.train import blend

    network = architectures.build("small_cnn", 2)
    start = network.arrays
    for variable in network.features.variables:
        variable.assign(variable.numpy() + 4.0)
    blend(network, start, 0.25)
    for variable in network.features.variables:
        np.testing.assert_allclose(variable.numpy(), start[variable.path] + 3.0, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("one_layer")
def test_validation_of_an_epoch_leaves_out_the_imagenet_prior(photos: Path, tmp_path: Path):
    from models.data.dataset import scan
    from models.networks import architectures, imagenet_prior
    from models.networks.recipes import Recipe
    from models.training.fine_tuning import FineTuning, Schedule

    seen = scan([photos / "pets", photos / "neither"], 1)
    network = architectures.build("small_cnn", len(seen.classes), with_prior=True)
    recipe = Recipe(learning_rate=1e-6, epochs=1, batch=8, augmentation="zoom")
    schedule = Schedule(recipe, 32, frozen_statistics=True, seed=1)
    judged, width = seen.split("train"), network.features.output.shape[-1]
    losses = []
    for name in ("silent", "loud"):
        tuning = FineTuning(network, judged, judged, schedule, tmp_path / name, name)
        tuning.run(lambda _: None)
        losses.append(tuning.history[0].validation_loss)
        imagenet_prior.fit(
            network.imagenet_prior, np.ones((4, width), np.float32), np.zeros(4, int), seen.classes
        )
    assert abs(losses[1] - losses[0]) < 0.01


@pytest.mark.usefixtures("one_layer")
def test_validation_does_not_depend_on_the_scale_of_logits(photos: Path, tmp_path: Path):
    from models.data.dataset import scan
    from models.networks import architectures
    from models.networks.recipes import Recipe
    from models.networks.tf_runtime import tf
    from models.training.fine_tuning import FineTuning, Schedule

    seen = scan([photos / "pets", photos / "neither"], 1)
    judged = seen.split("train")
    mostly_right = np.eye(len(seen.classes), dtype=np.float32)[judged.labels]
    mostly_right[::5] = np.roll(mostly_right[::5], 1, axis=1)
    schedule = Schedule(
        Recipe(learning_rate=1e-3, epochs=1, batch=8, augmentation="zoom"),
        32,
        frozen_statistics=True,
        seed=1,
    )
    network = architectures.build("small_cnn", len(seen.classes))
    losses = []
    for factor in (1.0, 4.0):
        tuning = FineTuning(network, judged, judged, schedule, tmp_path / str(factor), str(factor))
        said = iter(factor * mostly_right)
        tuning._logits_fn = lambda images, said=said: tf.constant([next(said) for _ in images])
        tuning.run(lambda _: None)
        losses.append(tuning.history[0].validation_loss)
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


@pytest.mark.parametrize("zoom", [0.5, 2.5])
def test_a_zoom_that_would_leave_out_the_middle_is_refused_before_anything_is_read(tmp_path: Path, zoom):
    from models.training.train import train

    with pytest.raises(RecipeError, match="zoom: expected a number from 1 to 2, not"):
        train(options(tmp_path / "none", tmp_path, zoom=zoom))


def test_a_checkpoint_of_another_recipe_or_way_to_judge_is_not_gone_on_with(
    photos: Path, tmp_path: Path, monkeypatch
):
    from models.data.dataset import scan
    from models.networks import architectures
    from models.training import train as training

    asked, seen = options(photos, tmp_path), scan([photos / "pets", photos / "neither"], 1)
    before = training._fingerprint(asked, seen)
    assert training._fingerprint(asked, seen) == before
    own = architectures.ARCHITECTURES[asked.architecture]
    for changed in (replace(own, input_size=64), replace(own, recipe=replace(own.recipe, cutout=0.77))):
        monkeypatch.setitem(architectures.ARCHITECTURES, asked.architecture, changed)
        assert training._fingerprint(asked, seen) != before
    monkeypatch.undo()
    monkeypatch.setattr(training, "JUDGED_BY", "validation loss")
    assert training._fingerprint(asked, seen) != before
