"""Run a bundle's network: uint8 photos in, calibrated probabilities out.

In int8 by OpenVINO alone; in float32 by TensorFlow or OpenVINO, whose answers agree.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from models.bundle.bundle import Bundle, Precision, read_int8, read_weights
from models.calibration import softmax
from models.errors import ArchitectureError, BundleError
from models.inference import openvino_engine, self_test_images
from models.inference.openvino_engine import Trial
from models.types import Pixels, Probabilities

log = logging.getLogger(__name__)

Kind = Literal["auto", "tensorflow", "openvino", "int8"]

AGREEMENT = 0.005  # the most by which OpenVINO may differ from TensorFlow in any probability
_TENSORFLOW_IMAGES = 32  # at once; the widest layer of MobileNetV2 takes 5 MB for each
_TRIAL_IMAGES = 8
_TRIAL_ROUNDS = 8  # the first also prepares kernels


class Engine(Protocol):
    """Runs a network."""

    @property
    def name(self) -> str:
        """`tensorflow`, `openvino` or `int8`."""

    def predict(self, images: Pixels) -> Probabilities:
        """Return calibrated probabilities (n, k), rows summing to 1, for uint8 RGB (n, s, s, 3)."""


@dataclass(frozen=True, slots=True)
class _Engine:
    name: str
    run: Callable[[Pixels], Probabilities]
    labels: int

    def predict(self, images: Pixels) -> Probabilities:
        if not len(images):
            return np.zeros((0, self.labels), np.float32)
        return self.run(images)


def open_engine(bundle: Bundle, kind: Kind = "auto", threads: int | None = None) -> Engine:
    """Build the bundle's network, run the bundle's self-test, and return an engine of that kind.

    The engine answers in the bundle's precision, see `answering`. In float32, `auto` takes OpenVINO where it
    agrees with TensorFlow on the self-test's input and is faster in a trial of about a second. The converted
    network and the choice are cached on this machine; the next start only runs the self-test. `threads` is
    how many cores one prediction may use; None leaves it to the engine. Raises BundleError for weights that
    do not fit, a failed self-test, or an engine that is not available.
    """
    if bundle.precision == "int8":
        return _int8(bundle, threads)
    if kind in ("auto", "openvino") and (ready := _kept(bundle, kind, threads)):
        return ready
    function = _frozen(bundle, threads)
    reference = _tensorflow(bundle, function)
    _self_test(bundle, reference)
    if kind == "tensorflow":
        return reference
    try:
        model = openvino_engine.convert(function, bundle.input_size)
        candidate = _openvino(bundle, model, threads)
        _agree(bundle, reference, candidate)
    except Exception as error:  # converters raise many types; TensorFlow works whatever the reason
        if kind == "openvino":
            raise _not_run(bundle, error) from error
        log.warning("engine tensorflow: OpenVINO is not used: %s", " ".join(str(error).split()))
        return reference
    trial = _try(bundle, reference, candidate) if kind == "auto" else Trial("", {})
    openvino_engine.keep(bundle, model, trial)
    return reference if trial.chosen == "tensorflow" else candidate


def answering(bundle: Bundle, kind: Kind = "auto") -> Bundle:
    """Return the bundle in the precision in which an engine of that kind answers. Raises BundleError.

    `auto` answers in int8 where the bundle has such a network and OpenVINO is installed.
    """
    has_int8 = bundle.manifest.int8 is not None and openvino_engine.is_installed()
    is_int8 = kind == "int8" or (kind == "auto" and has_int8)
    chosen: Precision = "int8" if is_int8 else "float32"
    alone = bundle.manifest.answers_in
    if alone not in (None, chosen):
        raise BundleError(
            f"{bundle.path}: the model was learnt in {alone}, and answers in it alone: use engine: {alone} "
            "with OpenVINO installed, or learn again with the engine that you want."
        )
    return bundle.in_precision(chosen)


def _int8(bundle: Bundle, threads: int | None) -> Engine:
    network = read_int8(bundle)
    try:
        logits = openvino_engine.runner(openvino_engine.read(network), threads)

        def run(images: Pixels) -> Probabilities:
            return softmax(logits(images), bundle.calibration.temperature).astype(np.float32)

        engine = _Engine("int8", run, len(bundle.labels))
        _self_test(bundle, engine)
    except BundleError:
        raise
    except Exception as error:  # OpenVINO raises many types, some only when a network runs
        raise _not_run(bundle, error) from error
    return engine


def _not_run(bundle: Bundle, error: Exception) -> BundleError:
    detail = " ".join(str(error).split())
    return BundleError(f"{bundle.path}: OpenVINO cannot run it: {detail}. Use engine: tensorflow.")


def _frozen(bundle: Bundle, threads: int | None) -> Any:
    """Return the network as a frozen concrete function, uint8 (n, s, s, 3) -> float32 (n, k)."""
    from models.networks import architectures
    from models.networks.tf_runtime import tf

    if threads is not None:
        _limit_threads(tf, threads)
    try:
        network = architectures.restored(bundle.architecture, len(bundle.labels), read_weights(bundle))
    except ArchitectureError as error:
        raise BundleError(f"{bundle.path}: {error}. Make the bundle again with `pawsort train`.") from error
    return architectures.freeze(network.model, bundle.input_size, bundle.calibration.temperature)


def _limit_threads(tf: Any, threads: int) -> None:
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:  # TensorFlow takes this only before its first operation
        log.warning("TensorFlow has started already; it keeps its number of threads")


def _tensorflow(bundle: Bundle, function: Any) -> _Engine:
    from models.networks.tf_runtime import tf

    def run(images: Pixels) -> Probabilities:
        pieces = range(0, len(images), _TENSORFLOW_IMAGES)
        outputs = (function(tf.constant(images[start : start + _TENSORFLOW_IMAGES]))[0] for start in pieces)
        return np.concatenate([probabilities.numpy() for probabilities in outputs])

    return _Engine("tensorflow", run, len(bundle.labels))


def _openvino(bundle: Bundle, model: Any, threads: int | None) -> _Engine:
    return _Engine("openvino", openvino_engine.runner(model, threads), len(bundle.labels))


def _kept(bundle: Bundle, kind: Kind, threads: int | None) -> Engine | None:
    """Return the cached engine of an earlier start, for `auto` only if it was chosen; None without one."""
    try:
        kept = openvino_engine.kept(bundle)
        if kept is None or (kind == "auto" and kept.trial.chosen != "openvino"):
            return None
        engine = _openvino(bundle, kept.model, threads)
        _self_test(bundle, engine)
    except Exception as error:  # OpenVINO is not installed, or the cached network is damaged
        log.info("engine openvino: converting again, the cached network cannot be used: %s", error)
        return None
    if kept.trial.rates:
        _say("openvino", kept.trial.rates, "an earlier trial")
    return engine


def _self_test_input(bundle: Bundle) -> Pixels:
    test = bundle.self_test
    return self_test_images.images(test.seed, len(test.probabilities), bundle.input_size)


def _self_test(bundle: Bundle, engine: Engine) -> None:
    test = bundle.self_test
    found, expected = engine.predict(_self_test_input(bundle)), np.asarray(test.probabilities)
    if found.shape != expected.shape:
        raise BundleError(
            f"{bundle.path}: the self-test failed: the network answers {list(found.shape)}, expected "
            f"{list(expected.shape)}, a number for each label. Restore the bundle."
        )
    worst = float(np.abs(found - expected).max())
    if not worst <= test.tolerance:  # also true for NaN
        raise BundleError(
            f"{bundle.path}: the self-test failed: probabilities differ from those recorded by {worst:.4f}, "
            f"at most {test.tolerance} is allowed. Restore the bundle, or make it again with `pawsort train`."
        )


def _agree(bundle: Bundle, reference: Engine, candidate: Engine) -> None:
    images = _self_test_input(bundle)
    worst = float(np.abs(reference.predict(images) - candidate.predict(images)).max())
    if not worst <= AGREEMENT:
        raise BundleError(
            f"it differs from TensorFlow by {worst:.4f} on the self-test, at most {AGREEMENT} is allowed"
        )


def _try(bundle: Bundle, *candidates: Engine) -> Trial:
    """Time engines on the same few photos in turn, and choose the faster."""
    rates = _rates(bundle, *candidates)
    chosen = max(rates, key=rates.__getitem__)
    _say(chosen, rates, "a trial")
    return Trial(chosen, rates)


def _rates(bundle: Bundle, *candidates: Engine) -> dict[str, float]:
    """Return photos a second of each engine.

    The best of many short rounds counts: a short moment without load from other programs is likelier than a
    long one.
    """
    images = self_test_images.images(0, _TRIAL_IMAGES, bundle.input_size)
    best = dict.fromkeys((engine.name for engine in candidates), float("inf"))
    for _ in range(_TRIAL_ROUNDS):
        for engine in candidates:
            best[engine.name] = min(best[engine.name], _seconds(engine, images))
    return {name: len(images) / seconds for name, seconds in best.items()}


def _say(chosen: str, rates: Mapping[str, float], trial: str) -> None:
    others = "".join(f", {name} {rate:.0f}" for name, rate in rates.items() if name != chosen)
    log.info("engine %s: %.0f images a second in %s%s", chosen, rates[chosen], trial, others)


def _seconds(engine: Engine, images: Pixels) -> float:
    began = time.perf_counter()
    engine.predict(images)
    return time.perf_counter() - began
