"""What a training starts from: nothing, ImageNet, a file of weights, or a bundle that was trained before."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.bundle.bundle import Bundle, load, locate, read_weights
from models.errors import ArchitectureError, BundleError
from models.networks import architectures
from models.networks.architectures import Network

log = logging.getLogger(__name__)

Batches = Callable[[], Iterable[npt.NDArray[np.uint8]]]


def chosen(architecture: str, asked: str | None) -> str:
    """Return what was asked for, or what there is: imagenet or none.

    A bundle's name becomes the path of its folder. Raises ArchitectureError.
    """
    if asked is None:
        return "imagenet" if architectures.known(architecture).pretrained else "none"
    if asked in ("imagenet", "none") or Path(asked).exists():
        return asked
    folder = locate(asked, Path.cwd())
    if not folder.is_dir():
        raise ArchitectureError(
            f"--init {asked}: not found; expected imagenet, none, a .weights.h5 file, or the name or folder "
            "of a bundle"
        )
    return str(folder)


def check(architecture: str, init: str) -> None:
    """Raise ArchitectureError unless this architecture can begin so; reads no photo."""
    if init == "none":
        return
    known = architectures.known(architecture)
    if known.fitted or (not known.pretrained and not Path(init).is_dir()):
        expected = "none" if known.fitted else "none, or a bundle of the same architecture"
        raise ArchitectureError(
            f"{architecture} has no ImageNet weights: expected init {expected}, received {init}"
        )
    if Path(init).is_dir():
        _same_architecture(architecture, load(Path(init)))


def has_opinion(architecture: str, init: str) -> bool:
    """Say whether a network that begins so has ImageNet's second opinion beside its head."""
    if Path(init).is_dir():
        return architectures.OPINION in read_weights(load(Path(init)))
    return architectures.known(architecture).pretrained and init != "none"


def begin(init: str, network: Network, architecture: str, labels: Sequence[str], some: Batches) -> bool:
    """Give a network its first weights, and say whether those of the last layer are among them.

    `some` gives batches of a few hundred training photos, for what is learnt from their pixels alone. Raises
    ArchitectureError and BundleError.
    """
    if init == "none":
        architectures.whiten(network, some())
        return True
    if Path(init).is_dir():
        return _from_bundle(network, _same_architecture(architecture, load(Path(init))), labels)
    _from_imagenet(network, init)
    if architectures.statistics_are_folded(network):
        log.info("%s: giving batch normalisation its statistics back", init)
        architectures.restore_statistics(network, some())
    return False


def _from_imagenet(network: Network, init: str) -> None:
    try:
        architectures.initialise_from_imagenet(network, init)
    except ArchitectureError as error:
        if init != "imagenet":
            raise
        raise ArchitectureError(
            f"{error}. Without internet, download the .weights.h5 file of MobileNetV2 elsewhere and name it: "
            "--init FILE; or begin from a bundle, --init cats_dogs, or from nothing, --init none"
        ) from error


def _thousand(network: Network) -> list[Any]:
    return network.thousand.variables if network.opinion else []


def _same_architecture(architecture: str, bundle: Bundle) -> Bundle:
    if bundle.architecture != architecture:
        raise BundleError(
            f"{bundle.path}: its architecture is {bundle.architecture}; give --architecture "
            f"{bundle.architecture}, or another bundle to begin from"
        )
    return bundle


def _from_bundle(network: Network, bundle: Bundle, labels: Sequence[str]) -> bool:
    """Take all that fits: the body always does; what ends in labels only if it means the same ones."""
    same = bundle.labels == tuple(labels)
    arrays = read_weights(bundle)
    for variable in network.model.variables if same else [*network.features.variables, *_thousand(network)]:
        array = arrays.get(variable.path)
        if array is None or array.shape != tuple(variable.shape):
            raise ArchitectureError(f"{bundle.path}: its array {variable.path!r} does not fit")
        variable.assign(array.astype(np.float32))
    taken = "all weights" if same else "all weights but those of the last layer, whose labels differ"
    log.info("beginning with %s of %s", taken, bundle.path)
    return same
