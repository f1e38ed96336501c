from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import RecipeError
from models.networks import recipes
from models.networks.architectures import ARCHITECTURES
from models.networks.recipes import KEYS, changed, parsed, read


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("lr=1", r"--set lr=1: no 'lr'; there are learning_rate, epochs"),
        ("learning_rat=1", "did you mean learning_rate"),
        ("epochs=2.5", "epochs: expected a whole number from 0 to 100000, not '2.5'"),
        ("epochs=-1", "epochs: expected a whole number from 0 to 100000, not '-1'"),
        ("learning_rate=nan", "learning_rate: expected a number from 0 to 100, not 'nan'"),
        ("learning_rate=", "learning_rate: expected a number from 0 to 100, not ''"),
        ("zoom=2.1", "zoom: expected a number from 1 to 2, not '2.1'"),
        ("optimizer=adam", "optimizer: expected one of adamw, sgd, not 'adam'"),
        ("epochs", "--set epochs: expected KEY=VALUE"),
    ],
)
def test_a_wrong_setting_names_key_value_and_expectation(setting: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        parsed(setting)


def test_settings_take_the_type_of_their_key() -> None:
    assert parsed("learning_rate=1e-4") == ("learning_rate", 0.0001)
    assert parsed("epochs=3") == ("epochs", 3)
    assert parsed("optimizer=sgd") == ("optimizer", "sgd")


def test_a_file_gives_the_same_values_as_settings(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("learning_rate: 1e-4  # text in YAML 1.1\nepochs: 3\n")
    assert read(tmp_path / "r.yaml") == dict(map(parsed, ("learning_rate=1e-4", "epochs=3")))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("keep: yes", "r.yaml: keep: expected a number from 0 to 1, not True"),
        ("keep: [1]", r"keep: expected a number from 0 to 1, not \[1\]"),
        ("speed: 1", "r.yaml: no 'speed'"),
        ("3", "expected lines such as"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_key(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(RecipeError, match=says):
        read(tmp_path / "r.yaml")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none.yaml: cannot be read: No such file"):
        read(tmp_path / "none.yaml")


def test_changes_leave_the_rest_of_a_recipe_alone() -> None:
    own = ARCHITECTURES["small_cnn"].recipe
    found = changed(own, {"epochs": 2, "learning_rate": 0.5})
    assert (found.epochs, found.learning_rate) == (2, 0.5)
    assert {key for key in KEYS if getattr(found, key) != getattr(own, key)} == {"epochs", "learning_rate"}


def test_every_key_has_a_description_and_a_range_or_choices() -> None:
    for key in KEYS:
        assert recipes.description_of(key).endswith(".")
        if recipes.kind_of(key) in (int, float):
            least, most = recipes.range_of(key)
            assert least < most
