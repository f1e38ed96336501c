"""What a version hands on to the next one."""

from __future__ import annotations

import numpy as np
import pytest

from models.bundle.replay import Features, Replay, pack, unpack
from models.inference.box_crops import CropInference
from models.learning.fitting.last_layer import Material
from models.learning.version import _left_out, replay_of


def test_photos_left_out_for_a_new_label_do_not_come_back_in_the_next_version():
    """There the label is not new, and they would count as mistakes of high confidence."""
    none = np.zeros((0, 3), np.float32)
    whole = np.random.default_rng(1).random((6, 3)).astype(np.float32)
    features = Features(whole, none, np.zeros(0, np.int32), np.zeros(0, bool))
    base = Replay(features, np.zeros(6, np.int16), np.zeros(6, np.int8), ("",) * 6)
    stored, left = pack(base), np.array([True, True, False, True, True, True])
    kept = replay_of(stored, base.where(left), 3)
    assert kept is not None and len(unpack(kept, 3)) == 5
    assert np.allclose(unpack(kept, 3).features.whole, whole[left], atol=0.01)
    assert replay_of(stored, base, 3) is stored
    assert replay_of(None, base, 3) is None


@pytest.mark.parametrize(("new", "count"), [(("horse",), 5), (("horse",), 6), ((), 5)])
def test_the_card_says_how_many_photos_its_figures_do_not_count(new: tuple[str, ...], count: int):
    none = np.zeros((0, 3), np.float32)
    features = Features(np.ones((6, 3), np.float32), none, np.zeros(0, np.int32), np.zeros(0, bool))
    base = Replay(features, np.zeros(6, np.int16), np.zeros(6, np.int8), ("",) * 6)
    left = base.where(np.arange(6) < count)
    labels = ("cat", "dog", "neither", *new)
    material = Material(labels, 3, left, base, None, CropInference(None, 32, 2, (0, 1)))
    said = _left_out(pack(base), material)
    assert ("1 photos of neither seem to show horse" in said) == (new != () and count == 5)
    assert bool(said) == (new != () and count == 5)
    assert _left_out(None, material) == ""
