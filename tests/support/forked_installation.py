"""An installation whose workers a fork server starts, and the check of the whole afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.worker import heartbeat
from pipeline.worker.heartbeat import Heartbeat
from tests.support import stub_versions
from tests.support.fork_server import ForkedWorker, ForkServer
from tests.support.installation import QUICK
from tests.support.oracle import conserved, digest
from tests.support.process_installation import PATIENCE_SECONDS, ProcessInstallation


class ForkedInstallation(ProcessInstallation):
    """An installation with the workers of a fork server.

    With a photo, its workers have the real network, and the photo is what must still be filed at the end.
    With `versions`, they change their model after each batch.
    """

    def __init__(
        self,
        folder: Path,
        fork_server: ForkServer,
        settings: str = QUICK,
        photo: bytes | None = None,
        versions: bool = False,
    ) -> None:
        super().__init__(folder, settings)
        self._versions = versions
        self.workers: list[ForkedWorker] = []
        self._fork_server = fork_server
        self._photo = photo

    def start(self, **order: Any) -> ForkedWorker:
        """Start a worker."""
        kind = {"real": self._photo is not None, "versions": self._versions}
        order = {"folder": str(self.folder), **kind, **order}
        worker = self._fork_server.worker({**order})  # type: ignore[typeddict-item]
        self.workers.append(worker)
        return worker

    def run_once(self, **order: Any) -> int:
        """Let a worker file what there is, and end; return its exit code."""
        return self.start(once=True, **order).wait(PATIENCE_SECONDS)

    def wait(self, done: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until something has come true; fail with the end of the logs, at once if no worker is left."""

        def have_ended() -> bool:
            return bool(self.workers) and all(worker.state in "XZ" for worker in self.workers)

        def is_done() -> object:
            ended = have_ended()
            answer = done()
            # `done` may have started another.
            assert answer or not (ended and have_ended()), f"all workers ended before {what}"
            return answer

        super().wait(is_done, what, seconds)

    def ends_well(self, corrected: bool = False) -> None:
        """Check that nothing is lost or doubled, and that a fresh photo is still filed.

        If files were `corrected`, a file that was retried has a new row beside its old one.
        """
        fresh = b"fresh<cat>" if self._photo is None else self._photo
        if self.workers and self.workers[-1].state not in "XZ":
            self.drop("fresh.jpg", fresh)
            self.wait(lambda: self.rows("id", "name = 'fresh.jpg' AND state = 'filed'"), "the fresh photo")
            self.workers[-1].signal(15)
            assert self.workers[-1].wait() == 143
        else:
            self.drop("fresh.jpg", fresh)
            code = self.run_once()
            assert code in (0, 1), f"exit code {code}:\n{self.log[-3000:]}"
        conserved(self.settings, self.injected)
        rows = self.rows("companions")
        companions = sum(len(json.loads(names)) for (names,) in rows if names)
        assert corrected or len(rows) + companions == len(self.injected), self.rows("id, name, state, reason")
        if self._versions:
            contents = {digest(data): data for data in self.injected}
            answered = self.rows("sha256, model, model_sha256, scores", "state = 'filed'")
            stub_versions.check_answers(answered, contents, stub_versions.family(self.settings).record_path)
        [(outcome,)] = self.rows("outcome", "name = 'fresh.jpg'")
        assert outcome in ("cats", "dogs", "uncertain")[: 1 if self._photo is None else None]

    def wait_until_paused(self, why: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the sign of life says that the worker is paused, and why."""

        def is_paused() -> bool:
            beat = self.beat
            return beat is not None and beat.state == "paused" and why in " ".join(beat.reasons)

        self.wait(is_paused, f"{why} in the heartbeat", seconds)
        assert self.beat is not None
        assert self.beat.health == "red"

    def wait_until_watching(self) -> None:
        """Wait until the sign of life says that all is well."""
        self.wait(
            lambda: self.beat and self.beat.state == "watching" and self.beat.health == "ok", "watching"
        )

    @property
    def beat(self) -> Heartbeat | None:
        """The worker's last sign of life."""
        return heartbeat.read(self.settings.state / heartbeat.FILE_NAME)

    def __enter__(self) -> ForkedInstallation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what still runs."""
        for worker in self.workers:
            if worker.state not in "XZ":
                worker.kill()
        super().close()
