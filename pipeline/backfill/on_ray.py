"""Hand out the parts of a run by Ray Data: one actor a machine, with all its CPUs.

Ray's driver runs in a child process: it ends, with the daemons it has started, when it is lost, when nothing
finishes, or when this process ends. Only numbers of parts pass through Ray, no photos.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from models.errors import in_words
from models.installation import install_command
from pipeline.backfill.run import Executor
from pipeline.backfill.source import open_source
from pipeline.backfill.work import Done, PartWorker, Work
from pipeline.child_process import ChildProcess, ProcessExited
from pipeline.classifier.client import ProcessClassifier
from pipeline.errors import PawsortError
from pipeline.processes import is_running, usable_cpus

IN_FLIGHT = 2
"""Parts that an actor has: one is done, the next waits. A machine that is lost holds no more than these."""

_PREFIX = "pawsort-ray-"
_LONGEST = 40  # bytes of the path of Ray's folder: it has sockets, whose paths have at most 107
_OBJECT_STORE = 80 * 2**20  # bytes; Ray allows no less than 75 MiB
_TICK = 1.0

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it would report to a host on the internet
    "RAY_ROTATION_MAX_BYTES": "1000000",  # of each log, in its folder
    "RAY_ROTATION_BACKUP_COUNT": "1",
}
_LOCAL_ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray then listens on 127.0.0.1 alone, on Linux too
    "RAY_AUTH_MODE": "token",
}


def missing_package() -> str | None:
    """Return which package is missing and how to install it; None if all of the extra `cluster` is there."""
    for module in ("pyarrow", "ray"):
        if find_spec(module) is None:
            return f"{module} is not installed; run `{install_command(extra='cluster')}`"
    return None


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where parts are done: on the Ray cluster at `host:port`, or by a Ray on this machine with `cpus`.

    `cores` is how many CPUs an actor has, by default those of the smallest machine; `actor` does the parts.
    """

    address: str | None = None
    cores: int | None = None
    cpus: int | None = None
    actor: type | None = None


def on_ray(cluster: Cluster) -> Executor:
    """Return what does parts on a cluster."""

    def execute(work: Work, numbers: Sequence[int]) -> Generator[Done | None]:
        with _scratch() as scratch, ExitStack() as at_end:
            child = ChildProcess(_drive, work, tuple(numbers), cluster, scratch)
            at_end.callback(child.kill)
            try:
                while (message := child.receive(_TICK)) != _END:
                    yield message
            except ProcessExited:
                at_end.pop_all()
                raise PawsortError(
                    f"Ray has ended: {child.kill()}; the same command continues the run"
                ) from None

    return execute


_END = "end"


@contextmanager
def _scratch() -> Iterator[str]:
    """Yield a new folder for the files of a Ray on this machine, and remove it; also those of killed runs."""
    top = tempfile.gettempdir()
    top = top if len(os.path.join(top, f"{_PREFIX}1234567-12345678")) <= _LONGEST else "/tmp"  # noqa: S108
    for left in Path(top).glob(f"{_PREFIX}*"):
        pid = left.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not is_running(int(pid)):
            shutil.rmtree(left, ignore_errors=True)  # another user's stays
    folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=top)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # what a daemon writes at its end goes at the next run


def _drive(
    requests: Connection,
    answers: Connection,
    work: Work,
    numbers: Sequence[int],
    cluster: Cluster,
    scratch: str,
) -> None:
    """Run in the child: send Done for each part, then `_END`."""
    del requests
    os.environ.update(_ENVIRONMENT)
    if cluster.address is None:
        os.environ.update(_LOCAL_ENVIRONMENT, RAY_AUTH_TOKEN=secrets.token_hex(32))
    import ray

    _connect(ray, cluster, scratch)
    for row in _rows(ray, work, numbers, cluster):
        answers.send(Done(**row))
    ray.shutdown()
    answers.send(_END)


def _connect(ray: Any, cluster: Cluster, scratch: str) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "WARNING"}
    if cluster.address is not None:
        ray.init(cluster.address, **quiet)
        return
    ray.init(
        "local",  # whatever cluster RAY_ADDRESS names
        num_cpus=cluster.cpus or usable_cpus(),
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE,
        _temp_dir=scratch,
        **quiet,
    )


def _rows(ray: Any, work: Work, numbers: Sequence[int], cluster: Cluster) -> Iterator[dict[str, Any]]:
    from ray import data

    context = data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.max_errored_blocks = -1  # a part that is lost for good is named at the end
    machines = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    cores, actors = share(machines, cluster.cores)
    items = data.from_items([{"part": number} for number in numbers], override_num_blocks=len(numbers))
    done = items.map_batches(
        cluster.actor or PartActor,
        batch_size=1,
        num_cpus=cores,
        compute=data.ActorPoolStrategy(
            size=min(actors, len(numbers)), max_tasks_in_flight_per_actor=IN_FLIGHT
        ),
        fn_constructor_args=(work, cores),
    )
    yield from done.iter_rows()


def share(machines: Sequence[int], cores: int | None = None) -> tuple[int, int]:
    """Return how many CPUs an actor has, and how many actors there are, on machines with so many CPUs.

    By default the smallest machine has one actor, and a larger one several of that size. Raises PawsortError
    where no machine has `cores` CPUs.
    """
    cores = cores or min(filter(None, machines), default=1)
    if not (actors := sum(cpus // cores for cpus in machines)):
        raise PawsortError(f"no machine of the Ray cluster has {cores} CPUs: they have {list(machines)}")
    return cores, actors


class PartActor:
    """Does parts on one machine, with a classifier that stays. Ray calls it with one row at a time."""

    def __init__(self, work: Work, threads: int) -> None:
        self._work, self._threads = work, threads
        self._classifier: ProcessClassifier | None = None

    def __call__(self, batch: Mapping[str, Sequence[int]]) -> dict[str, list[Any]]:
        """Do the part of the row; return a row with the fields of Done."""
        number = int(batch["part"][0])
        try:
            done = self._worker().do(number)
        except Exception as error:  # an unexpected one; it must not end what the other parts need
            self.stop()
            done = Done(number, 0, in_words(error))
        return {name: [value] for name, value in done._asdict().items()}

    def _worker(self) -> PartWorker:
        work = self._work
        if self._classifier is None:
            self._classifier = ProcessClassifier(
                work.bundle.path,
                work.settings.engine,
                work.settings.limits,
                self._threads,
                sha256=work.bundle.sha256,
            )
        source = open_source(work.source, largest=int(work.settings.limits.file_mb * 1e6))
        return PartWorker(work, source, self._classifier, Path(tempfile.gettempdir()))

    def stop(self) -> None:
        """End the classifier; the next part starts another."""
        if self._classifier is not None:
            self._classifier.stop()
