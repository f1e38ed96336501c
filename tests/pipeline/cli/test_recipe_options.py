from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from models.networks.recipes import KEYS, kind_of, range_of
from models.training.options import TrainOptions
from pipeline.cli.app import app
from pipeline.errors import SettingsError


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run `pawsort train` with a training that only keeps its options; return these."""
    from models.training import train as training

    class AskedError(Exception):
        pass

    kept: list[TrainOptions] = []

    def train(options: TrainOptions, progress: object) -> None:
        kept.append(options)
        raise AskedError

    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr("pipeline.logs.set_up", lambda format, level: None)
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> TrainOptions:
        result = CliRunner().invoke(app, ["train", "photos", "--out", "mine", *words])
        if not isinstance(result.exception, AskedError):
            assert result.exception is not None, result.output
            raise result.exception
        return kept.pop()

    return run


_OTHERS = {"optimizer": "sgd", "augmentation": "shift", "blocks": "last"}


def other(key: str) -> str:
    """Return a value that is no architecture's default."""
    if kind_of(key) is int:
        return "7"
    return str(sum(range_of(key)) / 3) if kind_of(key) is float else _OTHERS[key]


@pytest.mark.parametrize("key", KEYS)
def test_each_key_is_an_older_flag_too(asked: Any, key: str) -> None:
    by_flag = asked(f"--{key.replace('_', '-')}", other(key))
    by_setting = asked("--set", f"{key}={other(key)}")
    assert by_flag == by_setting and set(by_flag.changes) == {key}
    assert getattr(by_flag.recipe, key) == by_flag.changes[key]


def test_settings_win_over_flags_and_these_over_the_file(asked: Any, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("epochs: 1\nbatch: 1\npatience: 1")
    found = asked("--set", "epochs=3", "--recipe", "r.yaml", "--epochs", "2", "--batch", "2")
    assert found.changes == {"epochs": 3, "batch": 2, "patience": 1}


def test_without_options_the_architecture_s_own_recipe_is_used(asked: Any) -> None:
    from models.networks.architectures import ARCHITECTURES

    assert asked("--architecture", "cifar_cnn").recipe == ARCHITECTURES["cifar_cnn"].recipe


def test_the_command_of_a_bundle_gives_the_same_options_again(asked: Any, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("learning_rate: 1e-5\n")
    first = asked(
        "--recipe", "r.yaml", "--mixup", "0.25", "--set", "optimizer=sgd", "--folder", "cat=my cats",
        "--seed", "5", "--all-sources", "--architecture", "small_cnn",
    )  # fmt: skip
    words = shlex.split(first.command)
    assert words[:3] == ["pawsort", "train", "photos"]
    assert asked(*words[3:]) == first


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--set", "lr=1"), "--set lr=1: no 'lr'"),
        (("--set", "epochs=x"), "--set epochs=x: epochs: expected a whole number from 0 to 100000, not 'x'"),
        (("--recipe", "none.yaml"), "none.yaml: cannot be read"),
    ],
)
def test_what_cannot_be_a_recipe_ends_with_exit_code_2(asked: Any, words: tuple[str, ...], says: str) -> None:
    with pytest.raises(SettingsError) as ended:
        asked(*words)
    assert says in str(ended.value) and ended.value.exit_code == 2


@pytest.mark.parametrize(
    ("words", "architecture"),
    [
        ((), "mobilenet_v2"),
        (("--init", "cats_dogs"), "efficientnet_lite1"),
        (("--init", "none"), "mobilenet_v2"),
        (("--init", "cats_dogs", "--architecture", "small_cnn"), "small_cnn"),
    ],
)
def test_a_training_from_a_bundle_has_its_architecture(
    asked: Any, words: tuple[str, ...], architecture: str
) -> None:
    assert asked(*words).architecture == architecture
