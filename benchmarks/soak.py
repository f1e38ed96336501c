"""Run a worker for hours with random kills, poison files, duplicates and renames; then run the oracle.

    make soak ARGS="--hours 8"
    python -m benchmarks.soak --hours 0.1 --kill-seconds 10 20

A real worker with two inboxes is killed (SIGKILL) at random moments and started again, while files drop in;
a share of them brings the decoder down. The last quarter of the time has no kills, so that one life is long
enough to show whether its memory and descriptors grow. At the end each file must be there once, with one row
that says where. Figures are printed and written as JSON; exit code 1 if anything was lost, doubled or stuck.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.soak_figures import Samples, verdict
from benchmarks.soak_files import Dropper
from pipeline.settings import config

ROOT = Path(__file__).parents[1]
TICK_SECONDS = 0.2
DRAIN_SECONDS = 600.0
SETTINGS = """\
inboxes: [inbox-1, inbox-2]
watch: {settle_seconds: 1, rescan_seconds: 15}
batch: {size: 16}
limits: {decode_seconds: 15}
report: {at: "00:10"}
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do to the worker. Seconds, files a second, shares of 1."""

    seconds: float
    rate: float = 1.0
    kill_seconds: tuple[float, float] = (30.0, 60.0)
    poison: float = 0.05
    calm: float = 0.25
    seed: int = 1
    model: bool = False


class Soak:
    """One soak in `folder`, which must be empty."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._plan = plan
        self._chance = random.Random(plan.seed)
        self._folder = folder
        self._config = folder / "config.yaml"
        self._config.write_text(SETTINGS, encoding="utf-8")
        self.settings = config.load(self._config)
        for inbox in self.settings.inboxes:
            inbox.mkdir()
        self._dropper = Dropper(self.settings.inboxes, plan.rate, plan.poison, plan.model, self._chance)
        self._samples = Samples()
        self._worker: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self.kills = 0
        self.starts = 0
        self.ends: Counter[int] = Counter()

    def run(self) -> dict[str, Any]:
        """Do it all; return the figures."""
        started = time.monotonic()
        try:
            self._torment(started, self._plan.seconds * (1 - self._plan.calm), kills=True)
            self._samples.calm()
            self._torment(started, self._plan.seconds, kills=False)
            drained = self._drain()
            code = self._stop()
        finally:
            if self._worker and self._worker.poll() is None:
                self._worker.kill()
                self._worker.wait()
        found = verdict(self.settings, self._dropper)
        seconds = time.monotonic() - started
        return {
            "plan": asdict(self._plan),
            "seconds": round(seconds),
            "files": self._dropper.count,
            "files_per_second": round(self._dropper.count / seconds, 2),
            "poison": self._dropper.poisoned,
            "duplicates": self._dropper.duplicated,
            "renames": self._dropper.renamed,
            "kills": self.kills,
            "starts": self.starts,
            "ended_by_itself": {str(code): n for code, n in self.ends.items()},
            "drained": drained,
            "exit_code": code,
            **found,
            **self._samples.figures(),
        }

    def _torment(self, started: float, until: float, kills: bool) -> None:
        self._start_if_ended()
        while time.monotonic() - started < until:
            kill_at = time.monotonic() + self._chance.uniform(*self._plan.kill_seconds)
            end = min(kill_at, started + until) if kills else started + until
            while time.monotonic() < end:
                self._dropper.tick(time.monotonic())
                self._live()
            if kills and end == kill_at:
                self._kill()

    def _live(self) -> None:
        self._start_if_ended()
        assert self._worker
        self._samples.take(self._worker.pid, time.monotonic() - self._began, self.settings)
        time.sleep(TICK_SECONDS)

    def _drain(self) -> bool:
        """Let the worker finish; return whether it did."""
        until = time.monotonic() + DRAIN_SECONDS
        self._dropper.finish()
        while time.monotonic() < until:
            if self._dropper.all_filed(self.settings):
                return True
            self._live()
        return False

    def _start_if_ended(self) -> None:
        if self._worker is not None and self._worker.poll() is None:
            return
        if self._worker is not None:
            self.ends[self._worker.returncode] += 1
        line = [sys.executable, "-m", "benchmarks.soak_worker", str(self._config)]
        with open(self._folder / "worker.log", "ab") as log:
            self._worker = subprocess.Popen(
                line + ["--model"] * self._plan.model, cwd=ROOT, stdout=log, stderr=log
            )
        self.starts += 1
        self._began = time.monotonic()

    def _kill(self) -> None:
        assert self._worker
        if self._worker.poll() is None:
            self._worker.send_signal(signal.SIGKILL)
            self._worker.wait()
            self._worker = None
            self.kills += 1

    def _stop(self) -> int:
        assert self._worker
        self._worker.send_signal(signal.SIGTERM)
        return self._worker.wait(timeout=60)


def main(words: Sequence[str] | None = None) -> int:
    """Run a soak and print its figures as JSON."""
    options = _options(words)
    low, high = options.kill_seconds
    plan = Plan(
        options.hours * 3600,
        options.rate,
        (low, high),
        options.poison,
        seed=options.seed,
        model=options.model,
    )
    folder = options.folder or Path(tempfile.mkdtemp(prefix="pawsort-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"soaking in {folder} for {plan.seconds:.0f} s", file=sys.stderr)
    figures = Soak(folder, plan).run()
    well = bool(figures["well"] and figures["drained"])
    if well and options.folder is None:
        shutil.rmtree(folder)  # else it is kept: what went wrong is in it
    text = json.dumps(figures, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    return 0 if well else 1


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.soak", description=__doc__.split("\n")[0])
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--rate", type=float, default=1.0, help="files a second (default 1)")
    parser.add_argument(
        "--kill-seconds", type=float, nargs=2, default=(30.0, 60.0), metavar=("LOW", "HIGH"),
        help="a kill comes after so many seconds, at random (default 30 60)",
    )  # fmt: skip
    parser.add_argument("--poison", type=float, default=0.05, help="share of bad files (default 0.05)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", action="store_true", help="the real model, on made photos")
    parser.add_argument("--folder", type=Path, help="where to soak, and to keep it (default: temporary)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
