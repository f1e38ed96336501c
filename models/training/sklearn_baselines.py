"""Fit the networks of `hog_features` with scikit-learn, and store the results in their arrays."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from models.data.batches import batches
from models.data.dataset import Photos
from models.errors import ArchitectureError
from models.installation import install_command
from models.networks.architectures import Network
from models.networks.hog_features import DEPTH, TREES, WAVES
from models.networks.tf_runtime import tf
from models.types import Float32

Labels = npt.NDArray[np.int16]

MOST_PHOTOS = 20_000
"""The most photos to fit to, each with its mirror image; their features take 330 MB of memory."""

_NEVER = np.float32(3e38)  # a threshold above every value; infinity cannot be stored


def check_installed(name: str) -> None:
    """Raise ArchitectureError where scikit-learn is not installed."""
    if importlib.util.find_spec("sklearn") is None:
        raise ArchitectureError(
            f"{name} needs scikit-learn, of pawsort[train]: run `{install_command(extra='train')}`"
        )


def fit(
    name: str, network: Network, photos: Photos, size: int, seed: int, count: Callable[[int, int], None]
) -> None:
    """Fit `svm` or `random_forest` to photos and their mirror images; the same seed gives the same arrays."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(photos))[:MOST_PHOTOS])
    sample = photos.where(np.isin(np.arange(len(photos)), chosen))
    features = _features(network, sample, size, count)
    labels = np.concatenate([sample.labels, sample.labels])
    fitting = {"svm": _fit_svm, "random_forest": _fit_forest}[name]
    fitting(network, features, labels, seed)


def _features(network: Network, photos: Photos, size: int, count: Callable[[int, int], None]) -> Float32:
    layer = network.features.get_layer("hand_made")
    features_fn = tf.function(lambda images: layer(tf.cast(images, tf.float32) / 127.5 - 1), autograph=False)
    plain: list[Float32] = []
    mirrored: list[Float32] = []
    for images in batches(photos.paths, size):
        plain.append(features_fn(images).numpy())
        mirrored.append(features_fn(images[:, :, ::-1]).numpy())
        count(sum(map(len, plain)), len(photos))
    return np.concatenate(plain + mirrored)


def _fit_svm(network: Network, features: Float32, labels: Labels, seed: int) -> None:
    from sklearn.kernel_approximation import RBFSampler
    from sklearn.svm import LinearSVC

    spread = float(features.var(axis=0).sum())
    waves = RBFSampler(gamma=1 / max(2 * spread, 1e-6), n_components=WAVES, random_state=seed)
    waves.fit(features[:1])
    layer = network.features.get_layer("waves")
    layer.kernel.assign(waves.random_weights_)
    layer.bias.assign(waves.random_offset_)
    machine = LinearSVC(C=1.0, random_state=seed, max_iter=2000, tol=1e-3)
    machine.fit(layer(features).numpy(), labels)
    _assign_planes(network, machine.coef_, machine.intercept_, machine.classes_)


def _assign_planes(network: Network, planes: Any, offsets: Any, classes: Any) -> None:
    if len(classes) == 2:  # one hyperplane between two classes: half of its score for each
        planes, offsets = np.concatenate([-planes, planes]) / 2, np.concatenate([-offsets, offsets]) / 2
    kernel = np.zeros((planes.shape[1], network.head.units), np.float32)
    bias = np.full(network.head.units, -10.0, np.float32)  # of a class without photos
    kernel[:, classes], bias[classes] = planes.T, offsets
    network.head.kernel.assign(kernel)
    network.head.bias.assign(bias)


def _fit_forest(network: Network, features: Float32, labels: Labels, seed: int) -> None:
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(TREES, max_depth=DEPTH, min_samples_leaf=2, random_state=seed, n_jobs=-1)
    forest.fit(features, labels)
    layer = network.features.get_layer("forest")
    parts = [_as_arrays(tree.tree_, forest.classes_, network.head.units) for tree in forest.estimators_]
    for variable, arrays in zip(
        (layer.feature, layer.threshold, layer.leaf), zip(*parts, strict=True), strict=True
    ):
        variable.assign(np.concatenate(arrays))
    network.head.kernel.assign(np.eye(network.head.units))
    network.head.bias.assign(np.zeros(network.head.units))


def _as_arrays(tree: Any, classes: Any, labels: int) -> tuple[Float32, Float32, Float32]:
    """Return a tree as a full binary tree: all nodes below an early leaf are copies of it."""
    inner, leaves = 2**DEPTH - 1, 2**DEPTH
    feature, threshold = np.zeros(inner, np.float32), np.full(inner, _NEVER, np.float32)
    leaf = np.zeros((leaves, labels), np.float32)
    remaining = [(0, 0)]  # node of scikit-learn's tree, node of the full one
    while remaining:
        node, place = remaining.pop()
        early = tree.children_left[node] < 0
        if place >= inner:
            shares = tree.value[node][0]
            leaf[place - inner, classes] = shares / shares.sum()
            continue
        if not early:
            feature[place], threshold[place] = tree.feature[node], tree.threshold[node]
        left, right = (node, node) if early else (tree.children_left[node], tree.children_right[node])
        remaining += [(left, 2 * place + 1), (right, 2 * place + 2)]
    return feature, threshold, leaf
