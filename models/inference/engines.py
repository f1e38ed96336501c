"""Run a bundle's network by TensorFlow or OpenVINO: uint8 photos in, calibrated probabilities out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from models.bundle.bundle import Bundle, read_weights
from models.errors import ArchitectureError, BundleError
from models.inference import openvino_engine, self_test_images
from models.inference.openvino_engine import Trial
from models.types import Pixels, Probabilities

log = logging.getLogger(__name__)

Kind = Literal["auto", "tensorflow", "openvino"]

AGREEMENT = 0.005  # the most by which OpenVINO may differ from TensorFlow in any probability
BFLOAT16_FLIPS = 0.001  # the largest share of decisions that the bfloat16 first pass may change
BFLOAT16_AGREEMENT = 0.1  # the most by which bfloat16 may differ on the self-test, whose images are noise
BFLOAT16_GAIN = 1.25  # how much faster bfloat16 must be, to pay for repeating some photos in float32
_TENSORFLOW_IMAGES = 32  # at once; the widest layer of MobileNetV2 takes 5 MB for each
_TRIAL_IMAGES = 8
_TRIAL_ROUNDS = 8  # the first also prepares kernels


class Engine(Protocol):
    """Runs a network."""

    @property
    def name(self) -> str:
        """The engine's name: `tensorflow`, `openvino`, or `bfloat16` for a first pass."""

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

    `auto` takes OpenVINO where it is installed, agrees with TensorFlow on the self-test's input, and is
    faster in a trial of about a second. The converted network and the choice are cached on this machine;
    the next start only runs the self-test. `threads` is how many cores one prediction may use; None leaves
    it to the engine. Raises BundleError for weights that do not fit, a failed self-test, or an engine that
    is not available.
    """
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
        detail = " ".join(str(error).split())
        if kind == "openvino":
            raise BundleError(
                f"{bundle.path}: OpenVINO cannot run it: {detail}. Use engine: tensorflow."
            ) from error
        log.warning("engine tensorflow: OpenVINO is not used: %s", detail)
        return reference
    trial = _try(bundle, reference, candidate) if kind == "auto" else Trial("", {})
    openvino_engine.keep(bundle, model, trial)
    return reference if trial.chosen == "tensorflow" else candidate


def open_bfloat16(bundle: Bundle, exact: Engine, threads: int | None = None) -> Engine | None:
    """Return an engine for the bfloat16 first pass, see `bfloat16`; None where it is not allowed or no gain.

    The bundle's check must have found decisions unchanged, `exact` must be OpenVINO, the processor must
    multiply in bfloat16, and be well faster at it. Raises nothing: the exact engine works without.
    """
    if not _is_checked(bundle) or exact.name != "openvino":
        return None
    try:
        quick = bfloat16_engine(bundle, threads) if openvino_engine.has_bfloat16() else None
        return quick if quick and _is_worth_it(bundle, quick, exact) else None
    except Exception as error:  # OpenVINO raises many types; the exact engine works whatever the reason
        log.warning("no bfloat16 first pass: %s", " ".join(str(error).split()))
        return None


def bfloat16_engine(bundle: Bundle, threads: int | None = None) -> Engine | None:
    """Return an OpenVINO engine in bfloat16; None where no converted network of the bundle is cached."""
    kept, labels = openvino_engine.kept(bundle), len(bundle.labels)
    if kept is None:
        return None
    return _Engine("bfloat16", openvino_engine.runner(kept.model, labels, threads, "bf16"), labels)


def _is_checked(bundle: Bundle) -> bool:
    check = bundle.manifest.sketches
    return check is not None and not check.confident_flips and check.flips <= BFLOAT16_FLIPS * check.photos


def _is_worth_it(bundle: Bundle, quick: Engine, exact: Engine) -> bool:
    images = _self_test_input(bundle)
    off = float(np.abs(quick.predict(images) - exact.predict(images)).max())
    rates = _rates(bundle, exact, quick)
    worth = off <= BFLOAT16_AGREEMENT and rates[quick.name] >= BFLOAT16_GAIN * rates[exact.name]
    log.info(
        "%s bfloat16 first pass: %.0f images a second, %.0f in float32; off by %.3f on the self-test",
        "with" if worth else "no", rates[quick.name], rates[exact.name], off,
    )  # fmt: skip
    return worth


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
    labels = len(bundle.labels)
    return _Engine("openvino", openvino_engine.runner(model, labels, threads), labels)


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
    test = bundle.manifest.self_test
    return self_test_images.images(test.seed, len(test.probabilities), bundle.input_size)


def _self_test(bundle: Bundle, engine: Engine) -> None:
    test = bundle.manifest.self_test
    found = engine.predict(_self_test_input(bundle))
    worst = float(np.abs(found - np.asarray(test.probabilities)).max())
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
