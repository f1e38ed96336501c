"""The last blocks of a network are trained alone, on what the first ones give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.errors import ArchitectureError, RecipeError
from models.inference.outputs import layers_fn
from models.networks import architectures, last_blocks
from models.networks.architectures import Network
from tests.models.conftest import options

LITE = "efficientnet_lite0"
SIZE = 64


@pytest.fixture(scope="module")
def network() -> Network:
    return architectures.build(LITE, 3, with_prior=True)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (2, SIZE, SIZE, 3)).astype(np.uint8)


def test_both_parts_together_give_the_features_of_the_whole(network: Network, pictures: np.ndarray):
    first, last = last_blocks.split(network)
    outputs = layers_fn(first, SIZE)(pictures)
    assert outputs.shape == (2, SIZE // 16, SIZE // 16, 112)
    expected = network.features(pictures, training=False).numpy()
    np.testing.assert_allclose(last.features(outputs, training=False).numpy(), expected, rtol=1e-3, atol=1e-4)


def test_the_last_blocks_are_most_weights_of_the_network_and_shared_with_it(network: Network):
    _, last = last_blocks.split(network)
    assert 0.75 < last.features.count_params() / network.features.count_params() < 0.85
    shared = {id(variable) for variable in network.features.variables}
    assert {id(variable) for variable in last.features.variables} < shared


@pytest.mark.parametrize(
    "name", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "mobilenet_v2"]
)
def test_the_first_blocks_end_at_a_sixteenth_of_the_side(name: str):
    first, _ = last_blocks.split(architectures.build(name, 3))
    assert first(np.zeros((1, SIZE, SIZE, 3), np.uint8)).shape[1:3] == (SIZE // 16, SIZE // 16)


@pytest.mark.long
def test_fine_tuning_changes_the_last_blocks_and_no_other(photos: Path, tmp_path: Path):
    from models.data.dataset import scan
    from models.networks.recipes import Recipe
    from models.training.fine_tuning import FineTuning, Schedule

    seen = scan([photos / "pets", photos / "neither"], 1)
    judged = seen.split("train")
    network = architectures.build(LITE, len(seen.classes))
    before, (first, last) = network.arrays, last_blocks.split(network)
    schedule = Schedule(Recipe(learning_rate=1e-3, epochs=1, batch=8), SIZE, frozen_statistics=True, seed=1)
    inputs = layers_fn(first, SIZE)
    tuning = FineTuning(last, judged, judged, schedule, tmp_path / "c", "c", inputs)
    tuning.run(lambda _: None)
    after = network.arrays
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    tuned = {variable.path for variable in last.model.trainable_variables}
    assert changed == tuned


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"architecture": "small_cnn", "blocks": "last"}, ArchitectureError, "small_cnn has no last blocks"),
        ({"architecture": LITE, "blocks": "last", "small_epochs": 1}, RecipeError, "small_epochs"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_a_photo_is_read(
    tmp_path: Path, changes: dict[str, object], error: type[Exception], says: str
):
    from models.training.train import train

    with pytest.raises(error, match=says):
        train(options(tmp_path / "none", tmp_path, **changes))
