"""How a network is run: uint8 photos in, calibrated probabilities out, by TensorFlow or by OpenVINO."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from models.bundle.bundle import Bundle, read_weights
from models.errors import ArchitectureError, BundleError
from models.inference import openvino_engine, self_test
from models.inference.openvino_engine import Trial

log = logging.getLogger(__name__)

Kind = Literal["auto", "tensorflow", "openvino"]
Images = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float32]

AGREEMENT = 0.005  # the most by which OpenVINO may differ from TensorFlow in any probability
SKETCH_FLIPS = 0.001  # the most of all decisions that sketches may change
SKETCH_AGREEMENT = 0.1  # the most by which a sketch may differ on the self-test, whose images mean nothing
SKETCH_GAIN = 1.25  # how much faster a sketch must be, to be worth that some of it is answered again
_TENSORFLOW_IMAGES = 32  # at once; the widest layer of MobileNetV2 takes 5 MB for each
_TRIAL_IMAGES = 8
_TRIAL_ROUNDS = 8  # the first also prepares kernels


class Engine(Protocol):
    """Something that runs a network."""

    @property
    def name(self) -> str:
        """`tensorflow` or `openvino`."""

    def predict(self, images: Images) -> Probabilities:
        """Return calibrated probabilities (n, k), rows summing to 1, for uint8 RGB (n, s, s, 3)."""


@dataclass(frozen=True, slots=True)
class _Engine:
    name: str
    run: Callable[[Images], Probabilities]
    labels: int

    def predict(self, images: Images) -> Probabilities:
        if not len(images):
            return np.zeros((0, self.labels), np.float32)
        return self.run(images)


def open_engine(bundle: Bundle, kind: Kind = "auto", threads: int | None = None) -> Engine:
    """Build the bundle's network, prove it on the bundle's self-test, and return an engine of that kind.

    `auto` takes OpenVINO where it is installed, agrees with TensorFlow on the self-test's input, and is
    faster in a trial of about a second; what it made and chose is kept, and only proven again at the next
    start on this machine. `threads` is how many cores one prediction may use; None leaves it
    to the engine. Raises BundleError for weights that do not fit, a self-test that fails, or an engine not
    to be had.
    """
    if kind != "tensorflow" and (ready := _kept(bundle, kind, threads)):
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
    except Exception as error:  # a converter fails in ways of its own; whatever it is, TensorFlow still works
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


def open_sketch(bundle: Bundle, exact: Engine, threads: int | None = None) -> Engine | None:
    """Return an engine in bfloat16 for first answers, see `sketching`; None where none may or need be used.

    The bundle must say that decisions hold, `exact` must be OpenVINO, the processor must multiply in
    bfloat16, and that must be well faster. Nothing is raised: the exact engine works without.
    """
    if not _hold(bundle) or exact.name != "openvino":
        return None
    try:
        sketch = bfloat16(bundle, threads) if openvino_engine.can_sketch() else None
        return sketch if sketch and _is_worth_it(bundle, sketch, exact) else None
    except Exception as error:  # as with OpenVINO itself, which fails in ways of its own
        log.warning("no sketches in bfloat16: %s", " ".join(str(error).split()))
        return None


def bfloat16(bundle: Bundle, threads: int | None = None) -> Engine | None:
    """Return what OpenVINO makes of the bundle in bfloat16; None where no converted network is kept."""
    kept, labels = openvino_engine.kept(bundle), len(bundle.labels)
    if kept is None:
        return None
    return _Engine("bfloat16", openvino_engine.runner(kept.model, labels, threads, "bf16"), labels)


def _hold(bundle: Bundle) -> bool:
    proof = bundle.manifest.sketches
    return proof is not None and not proof.confident_flips and proof.flips <= SKETCH_FLIPS * proof.photos


def _is_worth_it(bundle: Bundle, sketch: Engine, exact: Engine) -> bool:
    images = _self_test_input(bundle)
    off = float(np.abs(sketch.predict(images) - exact.predict(images)).max())
    rates = _rates(bundle, exact, sketch)
    worth = off <= SKETCH_AGREEMENT and rates[sketch.name] >= SKETCH_GAIN * rates[exact.name]
    log.info(
        "%s sketches in bfloat16: %.0f images a second, %.0f in float32; off by %.3f on the self-test",
        "with" if worth else "no", rates[sketch.name], rates[exact.name], off,
    )  # fmt: skip
    return worth


def _frozen(bundle: Bundle, threads: int | None) -> Any:
    """Return one concrete function, variables turned into constants, uint8 (n, s, s, 3) -> float32 (n, k)."""
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

    def run(images: Images) -> Probabilities:
        pieces = range(0, len(images), _TENSORFLOW_IMAGES)
        seen = (function(tf.constant(images[start : start + _TENSORFLOW_IMAGES]))[0] for start in pieces)
        return np.concatenate([probabilities.numpy() for probabilities in seen])

    return _Engine("tensorflow", run, len(bundle.labels))


def _openvino(bundle: Bundle, model: Any, threads: int | None) -> _Engine:
    labels = len(bundle.labels)
    return _Engine("openvino", openvino_engine.runner(model, labels, threads), labels)


def _kept(bundle: Bundle, kind: Kind, threads: int | None) -> Engine | None:
    """Return what an earlier start here made and, for `auto`, chose; None where there is nothing."""
    try:
        kept = openvino_engine.kept(bundle)
        if kept is None or (kind == "auto" and kept.trial.chosen != "openvino"):
            return None
        engine = _openvino(bundle, kept.model, threads)
        _self_test(bundle, engine)
    except Exception as error:  # OpenVINO is not there, or what was kept is spoilt
        log.info("engine openvino: made anew, since what was kept cannot be used: %s", error)
        return None
    if kept.trial.rates:
        _say("openvino", kept.trial.rates, "an earlier trial")
    return engine


def _self_test_input(bundle: Bundle) -> Images:
    test = bundle.manifest.self_test
    return self_test.images(test.seed, len(test.probabilities), bundle.input_size)


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
    """Let engines answer for the same few photos in turn, and choose the faster."""
    rates = _rates(bundle, *candidates)
    chosen = max(rates, key=rates.__getitem__)
    _say(chosen, rates, "a trial")
    return Trial(chosen, rates)


def _rates(bundle: Bundle, *candidates: Engine) -> dict[str, float]:
    """Return photos a second of each.

    The best of many short rounds counts, for a moment without other programs comes sooner than a minute.
    """
    images = self_test.images(0, _TRIAL_IMAGES, bundle.input_size)
    best = dict.fromkeys((engine.name for engine in candidates), float("inf"))
    for _ in range(_TRIAL_ROUNDS):
        for engine in candidates:
            best[engine.name] = min(best[engine.name], _seconds(engine, images))
    return {name: len(images) / seconds for name, seconds in best.items()}


def _say(chosen: str, rates: Mapping[str, float], trial: str) -> None:
    others = "".join(f", {name} {rate:.0f}" for name, rate in rates.items() if name != chosen)
    log.info("engine %s: %.0f images a second in %s%s", chosen, rates[chosen], trial, others)


def _seconds(engine: Engine, images: Images) -> float:
    began = time.perf_counter()
    engine.predict(images)
    return time.perf_counter() - began
