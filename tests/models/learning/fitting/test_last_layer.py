from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.bundle.replay import Features, Replay
from models.inference.box_crops import CropInference
from models.learning.fitting import fit as fits
from models.learning.fitting import head as heads
from models.learning.fitting import last_layer
from models.learning.fitting.head import Head, Prior, extended, head_of
from models.learning.fitting.last_layer import Material
from models.training.linear_probe import LinearHead

WIDTH = 12
LABELS = ("cat", "dog", "neither")


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fits, "STEPS", 150)


def photos(
    groups: dict[str, int], of: int = 40, part: int = 0, seed: int = 1, sources: dict[str, str] | None = None
) -> Replay:
    """Return photos of groups, each around a point of its own; `groups` gives the label of each."""
    rng = np.random.default_rng([seed, part])
    centres = {name: np.random.default_rng(sum(name.encode())).normal(0, 2, WIDTH) for name in groups}
    whole = np.concatenate([centres[name] + rng.normal(0, 0.7, (of, WIDTH)) for name in groups])
    labels = np.repeat(list(groups.values()), of).astype(np.int16)
    named = tuple((sources or {}).get(name, "") for name in groups for _ in range(of))
    none = np.zeros((0, WIDTH), np.float32)
    features = Features(whole.astype(np.float32), none, np.zeros(0, np.int32), np.zeros(0, bool))
    return Replay(features, labels, np.full(len(labels), part, np.int8), named)


def both(first: Replay, second: Replay) -> Replay:
    from models.bundle.replay import joined

    return Replay(
        joined([first.features, second.features]),
        np.concatenate([first.labels, second.labels]),
        np.concatenate([first.parts, second.parts]),
        (*first.sources, *second.sources),
    )


BASE = {"cat": 0, "dog": 1, "sea": 2, "street": 2, "desk": 2}
SOURCES = {"sea": "sea", "street": "street", "desk": "desk"}


def material(own: Replay, labels: tuple[str, ...] = LABELS) -> Material:
    base = both(photos(BASE, sources=SOURCES), photos(BASE, part=1, sources=SOURCES))
    crops = CropInference(None, 8, 2, (0, 1))
    return Material(labels, 3, base, own, None, crops)


def right(head: Head, shown: Replay) -> float:
    return float((head.logits(shown.features.whole).argmax(axis=1) == shown.labels).mean())


def test_a_group_that_the_replay_lacks_is_learnt_and_the_rest_is_kept():
    horses = photos({"horse": 2}, of=30)
    before = last_layer.fit(material(photos({"horse": 2}, of=0)), [], 1).head
    after = last_layer.fit(material(horses), [], 1).head
    unseen, base = photos({"horse": 2}, seed=5), photos(BASE, seed=5)
    assert right(after, unseen) > 0.95 > right(before, unseen)
    assert right(after, base) > 0.95


def test_each_source_of_neither_is_left_out_of_one_layer_and_parts_of_the_judged_of_others():
    own = photos({"horse": 2}, of=30)
    part = np.arange(30) < 5
    fitted = last_layer.fit(material(own), [part], 1, sources=True)
    assert set(fitted.by_source) == {"sea", "street", "desk"} and len(fitted.of_parts) == 1
    sea = photos({"sea": 2}, seed=5)
    alone = last_layer.fit(replace(material(own), base=_without(material(own).base, "sea")), [], 1).head
    shown = fitted.by_source["sea"].logits(sea.features.whole)
    assert np.abs(shown - fitted.head.logits(sea.features.whole)).max() > 0.5
    assert (shown.argmax(axis=1) == alone.logits(sea.features.whole).argmax(axis=1)).mean() > 0.9


def _without(base: Replay, source: str) -> Replay:
    return base.where(np.array([name != source for name in base.sources]))


def test_a_layer_keeps_what_the_champion_can_do_though_the_replay_does_not_show_it():
    champion = last_layer.fit(material(photos({"horse": 2}, of=60)), [], 1).head
    made = material(photos({"rabbit": 3}, of=30), (*LABELS, "rabbit"))
    begun = replace(made, start=LinearHead(champion.kernel, champion.bias))
    part = np.ones(30, bool)
    alone, kept = (last_layer.fit(each, [part], 1, sources=True) for each in (made, begun))
    horses = photos({"horse": 2}, seed=5)
    assert right(kept.head, horses) > 0.4 + right(alone.head, horses)
    assert right(kept.head, photos({"rabbit": 3}, seed=5)) > 0.95
    for name, head in kept.by_source.items():  # which the champion has seen
        np.testing.assert_allclose(head.kernel, alone.by_source[name].kernel, atol=1e-3)
    np.testing.assert_allclose(kept.of_parts[0].kernel, alone.of_parts[0].kernel, atol=1e-3)


def test_judged_photos_count_five_times_and_together_at_most_as_the_replay():
    assert material(photos({"horse": 2}, of=10)).weight == 5
    many = material(photos({"horse": 2}, of=100))
    assert many.weight * 100 == pytest.approx(200)


def test_thresholds_and_temperature_are_of_photos_that_did_not_train():
    made = material(photos({"horse": 2}, of=30))
    fitted = last_layer.fit(made, [], 1, sources=True)
    found = last_layer.calibrated(made, fitted)
    assert found.table["photos"] == 200 and 0.25 <= found.temperature <= 10
    assert found.threshold(0.9) <= found.threshold(0.995) <= 1
    assert found.threshold(1.0) == 1


def test_photos_of_neither_that_seem_to_show_a_new_label_are_left_out():
    rabbits = photos({"desk": 3}, of=30)  # the new label looks as one of the old sources of neither
    made = material(rabbits, (*LABELS, "rabbit"))
    kept, doubtful = last_layer.without_doubtful(made, 1)
    assert doubtful > 20 and len(kept.base) == len(made.base) - doubtful
    assert last_layer.without_doubtful(material(photos({"horse": 2}, of=30)), 1)[1] == 0


def a_prior(labels: int = 3) -> Prior:
    rng = np.random.default_rng(1)
    means = rng.dirichlet(np.ones(1000) * 0.05, labels).T
    means[:, 2] = 1 / 1000
    shares = means / means.sum(axis=1, keepdims=True)
    return Prior(
        rng.normal(0, 1, (WIDTH, 1000)).astype(np.float32),
        np.zeros(1000, np.float32),
        shares.astype(np.float32),
    )


def test_a_prior_for_one_more_label_is_that_fitted_to_all_of_them():
    prior = a_prior()
    shown = photos({"rabbit": 3}).features.whole
    found = extended(prior, LABELS, {"rabbit": shown})
    mean = prior.classes(shown).mean(axis=0, dtype=np.float64)
    total = 1 / 1000 / prior.shares[:, 2].astype(np.float64)
    expected = (
        np.concatenate([prior.shares * total[:, None], mean[:, None]], axis=1) / (total + mean)[:, None]
    )
    np.testing.assert_allclose(found.shares, expected, atol=1e-6)
    assert found.shares.shape == (1000, 4)
    logs = found.logs(shown)
    assert (logs.argmax(axis=1) == 3).mean() > 0.9


def test_a_last_layer_is_found_among_the_arrays_and_put_back():
    prior = a_prior()
    arrays = {
        "block/kernel": np.ones((2, 2), np.float16),
        heads.KERNEL: np.ones((WIDTH, 3), np.float16),
        heads.BIAS: np.zeros(3, np.float32),
        "imagenet/kernel": prior.kernel.astype(np.float16),
        "imagenet/bias": prior.bias,
        "shares/kernel": prior.shares.astype(np.float16),
    }
    head = head_of(arrays)
    assert head.prior is not None
    again = Head(head.kernel * 2, head.bias + 1, head.prior).stored().arrays(arrays)
    assert set(again) == set(arrays) and (again[heads.KERNEL] == 2).all() and (again[heads.BIAS] == 1).all()
    without = {name: array for name, array in arrays.items() if not name.startswith(("imagenet", "shares"))}
    assert head_of(without).prior is None


def wide(groups: dict[str, int], of: int, seed: int) -> Replay:
    """Return photos whose many features let a layer remember each of them."""
    rng = np.random.default_rng(seed)
    centres = {name: np.random.default_rng(sum(name.encode())).normal(0, 0.3, 400) for name in groups}
    whole = np.concatenate([centres[name] + rng.normal(0, 1, (of, 400)) for name in groups])
    none = np.zeros((0, 400), np.float32)
    features = Features(whole.astype(np.float32), none, np.zeros(0, np.int32), np.zeros(0, bool))
    labels = np.repeat(list(groups.values()), of).astype(np.int16)
    return Replay(features, labels, np.zeros(len(labels), np.int8), ("",) * len(labels))


def test_a_layer_that_remembers_old_labels_of_training_does_not_hide_a_new_one(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(fits, "STEPS", 400)
    old = wide({"rabbit": 2}, 8, 2)  # photos of rabbits, from before there was the label
    base = both(wide({"cat": 0, "dog": 1, "sea": 2}, 40, 1), old)
    crops = CropInference(None, 8, 2, (0, 1, 3))
    made = Material((*LABELS, "rabbit"), 3, base, wide({"rabbit": 3}, 40, 3), None, crops)
    remembered = last_layer.fit(made, [], 1).head.logits(old.features.whole).argmax(axis=1)
    assert (remembered == 2).sum() >= 6
    kept, doubtful = last_layer.without_doubtful(made, 1)
    assert doubtful >= 6 and len(kept.base) == len(base) - doubtful
