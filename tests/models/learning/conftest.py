"""The model that knows only documents as neither, and a function that learns from judged photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from models.bundle.bundle import Bundle
from models.learning import learn
from models.learning.learn import LearnOptions
from models.learning.photos import FiledPhoto, JudgedPhoto
from models.learning.record import Learnt
from tests.models.conftest import made_once
from tests.support import documents_model


@pytest.fixture(scope="session")
def knows_documents(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The shipped model with a last layer that has seen only documents as neither."""
    return made_once(tmp_path_factory, documents_model.NAME, documents_model.knows_documents)


Learner = Callable[..., tuple[Learnt, Path]]


@pytest.fixture
def learning(knows_documents: Bundle, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Learner:
    """Return a function that learns from judged photos, and the folder of the version."""

    def run(judged: Sequence[JudgedPhoto], filed: Sequence[FiledPhoto] = ()) -> tuple[Learnt, Path]:
        out = tmp_path / "version"
        options = LearnOptions(
            knows_documents.path, "knows_documents@1", out, judged, filed, cache=tmp_path / "features.npz"
        )
        return learn.learn(options), out

    return run
