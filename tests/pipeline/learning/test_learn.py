"""`pawsort learn` on an installation: what it writes, prints and leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.bundle.bundle import Bundle, load
from models.learning import learn as network_side
from models.learning.fitting import fit
from models.learning.judged import LEAST_JUDGED
from models.learning.record import Learnt
from models.progress import Progress
from pipeline.cli import app
from pipeline.errors import LockError, ModelError, SettingsError
from pipeline.learning import learn as module
from pipeline.learning import learn_status, versions
from pipeline.learning.learn import learn
from pipeline.learning.listing import listing
from pipeline.learning.summary import conclusions, table
from pipeline.web.services.learning import LEAST
from tests.models.conftest import few_steps, frozen_once, photos, trained  # noqa: F401 - fixtures
from tests.support.installation import Installation
from tests.support.learnt_records import learnt

Colour = tuple[int, int, int]
SETTINGS = "model: {model}\nengine: tensorflow\n"


@pytest.fixture(autouse=True)
def usual_priority(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave this process its priority: only root could take it back."""
    set_to: list[tuple[int, int, int]] = []
    monkeypatch.setattr(os, "setpriority", lambda *values: set_to.append(values))
    yield
    assert all(value >= module.NICENESS for _, _, value in set_to)


@pytest.fixture
def pets(tmp_path: Path, trained: Bundle, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:  # noqa: F811
    """An installation whose model knows cats and dogs by their colours."""
    monkeypatch.setattr(fit, "STEPS", 120)
    pets = Installation(tmp_path / "here", SETTINGS.format(model=trained.path))
    yield pets
    pets.close()


def picture(colour: Colour, seed: int) -> bytes:
    import io

    from PIL import Image

    noise = np.random.default_rng(seed).normal(0, 25, (24, 30, 3))
    content = io.BytesIO()
    Image.fromarray(np.clip(colour + noise, 0, 255).astype(np.uint8)).save(content, "PNG")
    return content.getvalue()


def judge(
    pets: Installation, count: int, label: str = "dog", colour: tuple[int, int, int] = (230, 200, 30)
) -> None:
    """File photos of a colour that the model has not seen as cats; a person says what they are."""
    for number in range(count):
        pets.file(b"%s%d.png" % (label.encode(), number), picture(colour, number), "cats")
        pets.correct(b"cats/%s%d.png" % (label.encode(), number), label=label)


def made(pets: Installation) -> list[str]:
    folder = versions.family(pets.settings).folder
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def test_its_progress_and_end_can_be_read_meanwhile(pets: Installation) -> None:
    judge(pets, 40)
    seen: list[learn_status.LearnStatus | None] = []
    version, _ = learn(
        pets.settings, pets.engine, lambda _: seen.append(learn_status.read(pets.settings.state))
    )
    assert {found and found.state for found in seen} == {"running"}
    ended = learn_status.read(pets.settings.state)
    assert ended and (ended.state, ended.version, ended.stage) == ("done", version.number, "fitting")
    assert ended.done == ended.total > 0


def test_why_nothing_was_learnt_can_be_read(pets: Installation) -> None:
    judge(pets, LEAST_JUDGED - 1)
    with pytest.raises(SettingsError):
        learn(pets.settings, pets.engine, lambda _: None)
    ended = learn_status.read(pets.settings.state)
    assert ended and ended.state == "failed" and "19 judged photos can be used" in (ended.reason or "")
    assert LEAST_JUDGED == LEAST, "the page says how many are missing"


def test_a_version_is_written_whole_and_not_put_in_force(pets: Installation) -> None:
    judge(pets, 40)
    pets.file(b"unjudged.png", picture((230, 200, 30), 99), "cats")
    seen: list[Progress] = []
    version, result = learn(pets.settings, pets.engine, seen.append)
    bundle = load(version.path)
    assert bundle.name == version.name == "tiny@1" and result.precision == "float32"
    assert bundle.manifest.int8 is None and bundle.manifest.replay is not None
    assert versions.in_force(pets.settings) == pets.settings.base / pets.settings.model
    assert {"1", "features.npz"} <= set(made(pets)) and not any(
        name.startswith(".learning") for name in made(pets)
    )
    [_, listed] = listing(pets.settings)
    assert listed.problem is None and listed.is_better == result.verdict.better
    assert listed.learnt["base_sha256"] == versions.family(pets.settings).sha256
    assert result.changed_among == 1 and result.comparison.own.photos >= 5
    assert {progress.stage for progress in seen} == {"photos", "fitting"}
    versions.promote(pets.settings, 1, "ann")
    again, second = learn(pets.settings, pets.engine, lambda _: None)
    assert again.number == 2 and second.champion == "tiny@1"
    assert load(again.path).labels == bundle.labels


def test_an_interrupted_run_leaves_nothing_and_one_killed_is_cleared_away(
    pets: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(pets, 30)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(network_side, "write_record", interrupted)
        with pytest.raises(KeyboardInterrupt):
            learn(pets.settings, pets.engine, lambda _: None)
    assert not [name for name in made(pets) if name.startswith(".learning") or name.isdigit()]
    killed = versions.family(pets.settings).folder / ".learning-7"
    killed.mkdir()
    (killed / "weights.npz").write_bytes(b"half")
    version, _ = learn(pets.settings, pets.engine, lambda _: None)
    assert version.number == 2 and not killed.exists()


def test_a_photo_that_is_gone_or_changed_is_left_out_with_its_reason(pets: Installation) -> None:
    judge(pets, 30)
    folder = pets.settings.sorted / "dogs"
    (folder / "dog0.png").unlink()
    (folder / "dog1.png").write_bytes(picture((1, 2, 3), 1))
    _, result = learn(pets.settings, pets.engine, lambda _: None)
    assert sorted(item.reason for item in result.left_out) == [
        "No such file or directory", "its content has changed",
    ]  # fmt: skip


def test_nothing_or_little_to_learn_from_is_an_error_that_says_what_to_do(pets: Installation) -> None:
    with pytest.raises(SettingsError, match="no photo was judged yet"):
        learn(pets.settings, pets.engine, lambda _: None)
    assert learn_status.read(pets.settings.state) is None, "nothing was begun that a page could call failed"
    judge(pets, 3)
    read: list[Progress] = []
    with pytest.raises(SettingsError, match="3 judged photos can be used; expected at least 20"):
        learn(pets.settings, pets.engine, read.append)
    assert not read, "it says so before it reads hundreds of photos"
    with pytest.raises(SettingsError, match="at least 200 judged photos of each label"):
        judge(pets, 30, "cat", (200, 40, 40))
        learn(pets.settings, pets.engine, lambda _: None, whole=True)


def test_a_model_that_carries_no_features_is_an_error(pets: Installation, trained: Bundle) -> None:  # noqa: F811
    from models.bundle.write_bundle import compose, content_of, files_of, write

    judge(pets, 30)
    files = files_of(trained)[:3]
    bare = write(compose(pets.folder / "models" / "bare", content_of(trained), *files), *files)
    bare_settings = pets.settings.model_copy(update={"model": str(bare.path)})
    with pytest.raises(ModelError, match="carries no features of its photos"):
        learn(bare_settings, pets.engine, lambda _: None)


def test_the_learning_curve_ends_at_the_accuracy_that_the_comparison_states(pets: Installation) -> None:
    """Both are of the same photos: those that neither version has seen."""
    judge(pets, 60)
    judge(pets, 30, "cat", (226, 198, 34))  # as dogs are, so that it is not always right
    _, result = learn(pets.settings, pets.engine, lambda _: None)
    own, curve = result.comparison.own, result.curve
    assert curve and curve.held_out == own.photos > 0
    assert curve.points[-1].mean == pytest.approx(own.challenger.accuracy.value, abs=1e-6)
    assert f"held-out judged photos ({own.photos})" in next(conclusions(result, 1))


def test_a_version_in_force_that_was_deleted_is_replaced_by_the_one_before_it(
    pets: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    """As the worker does, so that it learns and compares from the model that answers."""
    judge(pets, 40)
    version, _ = learn(pets.settings, pets.engine, lambda _: None)
    versions.promote(pets.settings, version.number, "ann")
    shutil.rmtree(version.path)
    _, result = learn(pets.settings, pets.engine, lambda _: None)
    assert result.champion == "tiny" and result.name == "tiny@2"
    assert "tiny@1 cannot be used; it is learnt from the version before it" in caplog.text


def test_a_version_that_is_not_better_is_not_recommended(pets: Installation) -> None:
    judge(pets, 40)
    _, result = learn(pets.settings, pets.engine, lambda _: None)
    for better, words in ((True, "To use it: pawsort promote 1"), (False, "to use it all the same: pawsort")):
        verdict = result.verdict.model_copy(update={"better": better})
        assert words in list(conclusions(result.model_copy(update={"verdict": verdict}), 1))[-1]


def test_one_process_learns_at_a_time(pets: Installation) -> None:
    judge(pets, 1)
    with learn_status.learning(pets.settings), pytest.raises(LockError, match="another process is learning"):
        learn(pets.settings, pets.engine, lambda _: None)


def test_the_command_prints_the_comparison_and_how_to_use_the_version(
    pets: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(pets, 40)
    code, out, _ = run("learn", pets, monkeypatch, capsys)
    assert code == 0
    for words in ("tiny@1: learnt from 40 judged photos", "accuracy", "neither_filed", "pawsort promote 1"):
        assert words in out
    code, out, _ = run("learn --json", pets, monkeypatch, capsys)
    assert code == 0
    shown = json.loads(out)
    assert (
        shown["version"] == 2
        and shown["name"] == "tiny@2"
        and {"verdict", "curve", "comparison"} <= set(shown)
    )


def run(
    words: str, pets: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    import logging
    import signal

    handlers, level, term = logging.root.handlers[:], logging.root.level, signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "argv", ["pawsort", *words.split(), "--config", str(pets.config)])
    with pytest.raises(SystemExit) as ended:
        app.main()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    signal.signal(signal.SIGTERM, term)
    shown = capsys.readouterr()
    return int(ended.value.code or 0), shown.out, shown.err


def test_of_too_many_judged_photos_those_judged_last_are_learnt_from(
    pets: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [pets.file(b"%d.png" % number, picture((9, 9, 9), number), "cats") for number in range(4)]
    for number in (3, 1, 0, 2):  # the first arrivals are not judged first
        pets.correct(b"cats/%d.png" % number, label="dog")
    assert [row.id for row in module._judged(pets.engine)] == ids
    monkeypatch.setattr(module, "MOST_JUDGED", 2)
    assert [row.id for row in module._judged(pets.engine)] == [ids[0], ids[2]]


def test_the_table_says_how_many_photos_a_figure_does_not_count() -> None:
    content = learnt(new_labels=["horse"])
    content["comparison"] |= {"base_neither": 330, "base_neither_left_out": 40}
    figures = [row["figure"] for row in table(Learnt.model_validate(content | {"base_sha256": "0" * 64}))]
    limited = "neither_filed, without 40 of 330 that seem to show horse"
    assert figures == ["accuracy", "precision", "coverage", limited, *figures[:3], "neither_filed"]
