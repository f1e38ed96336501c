"""An archive of photos whose answers stand in themselves, and a run planned for it, on the disk or on S3."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.backfill import plan as plans
from pipeline.backfill import s3_source
from pipeline.backfill.run_file import RunFile
from pipeline.backfill.source import Source, open_source
from pipeline.backfill.storage import s3_connection
from pipeline.backfill.storage.run_path import RunPath, names, run_path
from pipeline.backfill.storage.s3_staging import Staging
from pipeline.backfill.work import Done, PartWorker, Work
from pipeline.classifier.client import Classifier
from pipeline.settings.config import Settings
from pipeline.settings.sections import BatchSettings, DecisionSettings
from tests.support.s3_server import Store, s3_server
from tests.support.stub_classifier import BUNDLE, StubClassifier

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
ANSWERS = (b"<cat>", b"<dog>", b"<unsure>", b"<neither>", b"<truncated>")


class Archive:
    """A folder of photos, the settings, and the folder of a run, by default beside the photos."""

    def __init__(self, top: Path, run: RunPath | None = None) -> None:
        self.photos, self.run = top / "photos", run or top / "run"
        self.photos.mkdir()
        self.settings = Settings(
            base=top, batch=BatchSettings(size=2), decision=DecisionSettings(min_confidence=0.9)
        )
        self.waited: list[float] = []

    def put(self, *contents: bytes) -> list[Path]:
        """Make a photo for each, named by number."""
        paths = [self.photos / f"{n:03}.jpg" for n in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        return paths

    @property
    def source(self) -> Source:
        return open_source(str(self.photos))

    def plan(self, size: int = 2) -> RunFile:
        return plans.plan(self.settings, BUNDLE, self.source, self.run, size)

    def work(self) -> Work:
        planned = plans.fitting(self.settings, BUNDLE, self.run)
        return plans.work_of(self.settings, BUNDLE, self.run, planned)

    def worker(self, source: Source | None = None, classifier: Classifier | None = None) -> PartWorker:
        staging = self.photos.with_name("staging")
        staging.mkdir(exist_ok=True)
        return PartWorker(
            self.work(),
            source or self.source,
            classifier or StubClassifier(),
            staging,
            self.waited.append,
            lambda: NOW,
        )

    def executor(self, work: Work, numbers: Sequence[int]) -> Generator[Done | None]:
        """Do the parts in this process."""
        worker = self.worker()
        for number in numbers:
            yield None
            yield worker.do(number)

    def files(self) -> set[str]:
        """The files of results, those that are being written too."""
        return set(names(self.run / "results"))


@pytest.fixture(scope="session")
def parquet() -> None:
    """Skip where the extra `cluster` is not installed."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: `make cluster` runs this")


@pytest.fixture
def archive(tmp_path: Path, parquet: None) -> Archive:
    return Archive(tmp_path)


@pytest.fixture
def store(tmp_path: Path, parquet: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store that speaks like S3, to which requests are repeated without long pauses."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(s3_connection, "PAUSES", (0.01, 0.01, 0.01))
    monkeypatch.setattr(s3_connection, "ATTEMPTS", 2)
    s3_connection.connected.cache_clear()
    with s3_server(Store()) as store:
        yield store
        s3_connection.connected.cache_clear()


@pytest.fixture
def without_waits(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let PyArrow not repeat requests, since it waits up to a second; what reads a run repeats them."""
    monkeypatch.setattr(s3_connection, "ATTEMPTS", 1)
    monkeypatch.setattr(s3_connection, "PAUSES", (0.01,) * 8)


@pytest.fixture(params=["disk", "s3"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path, parquet: None) -> RunPath:
    """The folder of a run that is still to be made: on the disk, then on S3."""
    if request.param == "disk":
        return tmp_path / "run"
    store: Store = request.getfixturevalue("store")
    return run_path(store.address("runs/one"))


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for /dev/shm."""
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setattr(s3_source, "Staging", lambda: Staging(folder))
    return folder
