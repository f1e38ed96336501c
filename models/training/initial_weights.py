"""Initial weights of a training: random, ImageNet's, a file's, or those of a bundle."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import models
from models.bundle.bundle import MANIFEST, Bundle, load, locate, read_weights
from models.errors import ArchitectureError, BundleError
from models.networks import architectures, imagenet_weights
from models.networks.architectures import Network

log = logging.getLogger(__name__)

DEFAULT = "mobilenet_v2"
"""The architecture where none is named."""

Batches = Callable[[], Iterable[npt.NDArray[np.uint8]]]


def chosen(architecture: str, asked: str | None) -> str:
    """Return `asked`, by default imagenet where the architecture has such weights, else none.

    A bundle's name becomes the path of its folder. Raises ArchitectureError.
    """
    if asked is None:
        return "imagenet" if architectures.known(architecture).pretrained else "none"
    if asked in ("imagenet", "none") or Path(asked).exists():
        return asked
    folder = locate(asked, Path.cwd())
    if not folder.is_dir():
        raise ArchitectureError(
            f"--init {asked}: not found; expected imagenet, none, a file of weights, or the name or folder "
            "of a bundle"
        )
    return str(folder)


def architecture_of(init: str | None) -> str:
    """Return the architecture of a training that names none: that of the bundle to start from, if it is one.

    Raises ArchitectureError and BundleError.
    """
    folder = Path(chosen(DEFAULT, init))
    return load(folder).architecture if folder.is_dir() else DEFAULT


def check(architecture: str, init: str) -> None:
    """Raise ArchitectureError unless this architecture can start from `init`; reads no photo."""
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
    elif init == imagenet_weights.DOWNLOAD:
        with _advice(architecture, init):
            imagenet_weights.check_installed(architecture)


def has_imagenet_prior(architecture: str, init: str) -> bool:
    """Return whether a network that starts from `init` has an ImageNet prior beside its head."""
    if Path(init).is_dir():
        return architectures.IMAGENET_PRIOR in read_weights(load(Path(init)))
    return architectures.known(architecture).pretrained and init != "none"


def initialise(init: str, network: Network, architecture: str, labels: Sequence[str], some: Batches) -> bool:
    """Set a network's initial weights, and return whether the last layer's are among them.

    `some` gives batches of a few hundred training photos, for statistics of their pixels. Raises
    ArchitectureError and BundleError.
    """
    if init == "none":
        architectures.whiten(network, some())
        return True
    if Path(init).is_dir():
        return _from_bundle(network, _same_architecture(architecture, load(Path(init))), labels)
    with _advice(architecture, init):
        architectures.initialise_from_imagenet(network, init)
    if architectures.statistics_are_folded(network):
        log.info("%s: restoring the statistics of batch normalisation", init)
        architectures.restore_statistics(network, some())
    return False


@contextlib.contextmanager
def _advice(architecture: str, init: str) -> Iterator[None]:
    """Say in an error what to do without ImageNet's weights."""
    try:
        yield
    except ArchitectureError as error:
        if init != imagenet_weights.DOWNLOAD:
            raise
        bundles = "".join(f" from a bundle, --init {name}, or" for name in _shipped(architecture))
        raise ArchitectureError(
            f"{error}. {imagenet_weights.hint(architecture)}; or start{bundles} from random weights, "
            "--init none"
        ) from error


def _shipped(architecture: str) -> list[str]:
    """Return the names of the bundles of an architecture that come with Pawsort."""
    folders = sorted(file.parent for file in Path(models.__file__).parent.glob(f"*/{MANIFEST}"))
    return [folder.name for folder in folders if load(folder).architecture == architecture]


def _imagenet_head(network: Network) -> list[Any]:
    return network.imagenet_head.variables if network.imagenet_prior else []


def _same_architecture(architecture: str, bundle: Bundle) -> Bundle:
    if bundle.architecture != architecture:
        raise BundleError(
            f"{bundle.path}: its architecture is {bundle.architecture}; give --architecture "
            f"{bundle.architecture}, or another bundle to start from"
        )
    return bundle


def _from_bundle(network: Network, bundle: Bundle, labels: Sequence[str]) -> bool:
    """Copy the features' weights, and those of the last layer if the labels are the same."""
    same = bundle.labels == tuple(labels)
    arrays = read_weights(bundle)
    for variable in (
        network.model.variables if same else [*network.features.variables, *_imagenet_head(network)]
    ):
        array = arrays.get(variable.path)
        if array is None or array.shape != tuple(variable.shape):
            raise ArchitectureError(f"{bundle.path}: its array {variable.path!r} does not fit")
        variable.assign(array.astype(np.float32))
    taken = "all weights" if same else "all weights but those of the last layer, whose labels differ"
    log.info("starting from %s: %s", bundle.path, taken)
    return same
