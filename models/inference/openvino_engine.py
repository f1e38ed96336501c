"""Convert a network for OpenVINO, cache it on disk, and run it on every core.

Each core takes one photo at a time: batches take more core time, because they exceed the caches and wait for
the slowest core. So no prediction depends on the rest of its batch. With the cache, later starts need neither
TensorFlow's graph nor the conversion nor the trial of engines.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import logging
import os
import platform
import shutil
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models import working_folder
from models.bundle.bundle import Bundle
from models.bundle.cache import cache_folder
from models.bundle.openvino_archive import Network
from models.types import Float32, Pixels, PredictFn

log = logging.getLogger(__name__)

_MODEL, _TRIAL = "model.xml", "trial.json"
_KEPT = 8
_FORM = 2  # version of the cached files; raised whenever `convert` changes
_SCALINGS = ("Multiply", "Add", "Subtract", "Divide")


@dataclass(frozen=True, slots=True)
class Trial:
    """How the engines compared on this machine, in photos a second, and which was chosen."""

    chosen: str
    rates: dict[str, float]


@dataclass(frozen=True, slots=True)
class Kept:
    """A converted network from the cache, made for this bundle and not tested yet."""

    model: Any
    trial: Trial


def convert(function: Any, size: int) -> Any:
    """Convert a frozen TensorFlow function into a network for one photo, uint8 (1, size, size, 3)."""
    model = import_openvino().convert_model(function.graph)
    model.reshape([1, size, size, 3])
    _turn_last(model)
    return model


def _turn_last(model: Any) -> None:
    """Move the transposition to channels first behind the scaling of the pixels.

    The converter puts it first. OpenVINO's convolutions want the channels last, so it then copies each photo
    twice; behind the scaling, the transposition costs nothing. Own code, since OpenVINO's PrePostProcessor
    only adds steps in front of a graph: it needs a second form of each network, without its scaling, and gave
    the same probabilities at 0.98 to 0.99 times the speed.
    """
    turn = next((node for node in model.get_ordered_ops() if node.get_type_name() == "Transpose"), None)
    while turn is not None and (scaling := _only_user(turn)) is not None and _is_scaling(scaling):
        users = scaling.output(0).get_target_inputs()
        _input_from(scaling, turn).replace_source_output(turn.input(0).get_source_output())
        turn.input(0).replace_source_output(scaling.output(0))
        for user in users:
            user.replace_source_output(turn.output(0))
    model.validate_nodes_and_infer_types()


def _only_user(node: Any) -> Any | None:
    users = list(node.output(0).get_target_inputs())
    return users[0].get_node() if len(users) == 1 else None


def _is_scaling(node: Any) -> bool:
    """Return whether a node scales every value by one constant, so that the order of axes does not matter."""
    sources = [source.get_source_output().get_node() for source in node.inputs()]
    constants = [source for source in sources if source.get_type_name() == "Constant"]
    alike = len(constants) == 1 and constants[0].data.size == 1 and constants[0].data.ndim <= 4
    return node.get_type_name() in _SCALINGS and alike


def _input_from(node: Any, source: Any) -> Any:
    # Compared by their unique names: `==` of nodes builds an Equal node.
    name = source.get_name()
    return next(entry for entry in node.inputs() if entry.get_source_output().get_node().get_name() == name)


def read(network: Network) -> Any:
    """Return OpenVINO's model of a network. Raises many types for one that OpenVINO cannot read."""
    # OpenVINO would take the weights from a `.bin` of the working folder, as the path of this model is empty.
    with working_folder.left():
        return _core().read_model(network.xml, network.weights)


def runner(model: Any, threads: int | None) -> PredictFn:
    """Compile a network for `threads` cores, all by default; return its first output, float32 (n, ...).

    The returned function is not thread-safe.
    """
    run = runner_of_all(model, threads, 1)
    return lambda images: run(images)[0]


def runner_of_all(
    model: Any, threads: int | None, outputs: int
) -> Callable[[npt.NDArray[np.uint8]], list[npt.NDArray[np.float32]]]:
    """Compile a network as `runner` does; return so many of its outputs, each float32 (n, ...)."""
    openvino, core = import_openvino(), _core()
    cores = len(os.sched_getaffinity(0))
    streams = threads or cores
    compiled = core.compile_model(model, "CPU", _settings(streams, cores))
    shapes = [list(compiled.output(index).shape)[1:] for index in range(outputs)]
    # Twice as many as streams, so that no stream waits for Python. A callback would make Python set up a
    # thread's state again for each photo.
    requests = [compiled.create_infer_request() for _ in range(2 * streams)]

    def run(images: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        images = np.require(images, requirements=("C", "W"))  # else OpenVINO copies them
        rows = [np.empty((len(images), *shape), np.float32) for shape in shapes]
        pending: deque[tuple[int, Any]] = deque()
        for index, request in zip(range(len(images)), cycle(requests), strict=False):
            if len(pending) == len(requests):
                _collect(pending, rows)
            request.set_input_tensor(openvino.Tensor(images[index : index + 1], shared_memory=True))
            request.start_async()
            pending.append((index, request))
        while pending:
            _collect(pending, rows)
        return rows

    return run


def single(model: Any, threads: int | None = None) -> Callable[[Pixels], Float32]:
    """Compile a network to run one input at a time, on one core for each of the `threads` that call it.

    Floating-point parts run in float32, so that every processor gives the same boxes.
    """
    cores = len(os.sched_getaffinity(0))
    compiled, own = _core().compile_model(model, "CPU", _settings(threads or cores, cores)), threading.local()

    def run(image: Pixels) -> Float32:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        # OpenVINO writes the next result into the same memory.
        result: Float32 = own.request.infer([image])[0].copy()
        return result

    return run


def _settings(streams: int, cores: int) -> dict[str, Any]:
    """Return how to compile for `streams` photos at a time on a machine with so many usable `cores`."""
    # The default is bfloat16 where the processor has it; float32 keeps probabilities equal between machines.
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": streams,
    }
    if streams < cores:
        # OpenVINO pins threads to the first cores; several processes on one machine would share these.
        settings["ENABLE_CPU_PINNING"] = False
    return settings


def is_installed() -> bool:
    """Return whether OpenVINO is installed, without importing it."""
    return importlib.util.find_spec("openvino") is not None


def _collect(pending: deque[tuple[int, Any]], rows: list[npt.NDArray[np.float32]]) -> None:
    index, request = pending.popleft()
    request.wait()
    for output, values in enumerate(rows):
        values[index] = request.get_output_tensor(output).data[0]


def keep(bundle: Bundle, model: Any, trial: Trial, cache: Path | None = None) -> None:
    """Cache a converted network for the next start, atomically; a failure is only logged."""
    try:
        folder = _folder(bundle, cache)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as scratch:
            import_openvino().save_model(model, Path(scratch) / _MODEL, compress_to_fp16=False)
            (Path(scratch) / _TRIAL).write_text(json.dumps(asdict(trial)), encoding="utf-8")
            discard(bundle, cache)
            # TemporaryDirectory fails on exit if its folder is gone.
            os.rename(scratch, folder)
            Path(scratch).mkdir()
        _remove_oldest(folder.parent)
    except (OSError, RuntimeError) as error:  # such as no home directory; the next start converts again
        log.info("the converted network is not kept: %s", error)


def kept(bundle: Bundle, cache: Path | None = None) -> Kept | None:
    """Return the cached network of this bundle, machine and version of OpenVINO; None without one."""
    folder = _folder(bundle, cache)
    try:
        trial = Trial(**json.loads((folder / _TRIAL).read_text(encoding="utf-8")))
        model = _core().read_model(folder / _MODEL)
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged or foreign file; it is converted again
        log.info("the converted network in %s is not used: %s", folder, error)
        return None
    return Kept(model, trial)


def discard(bundle: Bundle, cache: Path | None = None) -> None:
    """Remove the cached network of this bundle."""
    shutil.rmtree(_folder(bundle, cache), ignore_errors=True)


def _folder(bundle: Bundle, cache: Path | None) -> Path:
    parts = (
        _FORM, bundle.sha256, bundle.architecture, bundle.input_size, bundle.calibration.temperature,
        len(bundle.labels), import_openvino().__version__, _processor(), len(os.sched_getaffinity(0)),
        os.path.exists("/dev/nvidia0"),
    )  # fmt: skip
    key = hashlib.sha256(repr(parts).encode()).hexdigest()
    return (cache or cache_folder()) / "engines" / f"{bundle.sha256[:12]}-{key[:12]}"


def _processor() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
        return next((line for line in lines if line.startswith("model name")), platform.machine())
    return platform.machine()


def _remove_oldest(folder: Path) -> None:
    entries = sorted(folder.glob("[!.]*"), key=lambda path: path.stat().st_mtime)
    for old in entries[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


@cache
def _core() -> Any:
    """Return the only Core of this process; it is never released.

    Each Core registers an alternate signal stack and frees it when it is released. With two of them, a signal
    may be delivered on the freed stack of the first, which kills the process.
    """
    return import_openvino().Core()


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry, which would report each conversion to a host on the internet.

    None in sys.modules makes `import openvino_telemetry` fail, and OpenVINO's converter then uses a stub that
    does nothing. Raises ImportError where OpenVINO is not installed, or the telemetry is imported already.
    """
    if sys.modules.get("openvino_telemetry") is not None:
        raise ImportError("openvino_telemetry is already loaded, and would contact another host")
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino
