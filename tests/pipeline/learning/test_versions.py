"""Which version of a model is in force, however commands end, and whatever lies in the folder of versions."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.classifier.configured_model import load_bundle
from pipeline.errors import LockError, ModelError, SettingsError
from pipeline.learning import learn_status, versions
from pipeline.learning.listing import Listed, challenger, listing
from pipeline.learning.record import Record
from pipeline.settings import config
from pipeline.settings.config import Settings
from tests.support.crash import Mortal
from tests.support.model_versions import WORSE, add_version, damage, small_bundle


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    small_bundle(tmp_path / "models" / "pets")
    (tmp_path / "config.yaml").write_text("model: pets\n", encoding="utf-8")
    return config.load(tmp_path / "config.yaml")


@pytest.fixture(autouse=True)
def said_anew() -> None:
    versions.warn_once.cache_clear()


def in_force(settings: Settings) -> str:
    """Name the bundle in force by its manifest, after checking that its path is the one promised."""
    bundle = load_bundle(settings)
    assert bundle.path == versions.in_force(settings)
    return bundle.name


def test_without_versions_the_base_is_in_force_and_nothing_is_made(settings: Settings) -> None:
    assert in_force(settings) == "pets"
    assert not settings.state.exists()


def test_a_version_in_force_that_was_deleted_is_listed_with_the_problem(settings: Settings) -> None:
    versions.promote(settings, int(add_version(settings, 1).name), "ann")
    shutil.rmtree(versions.family(settings).version(1).path)
    assert in_force_of(listing(settings)) == [False, True]
    assert "no bundle here" in str(listing(settings)[1].problem)
    add_version(settings, 2)
    found = challenger(versions.family(settings))
    assert found and found.version.number == 2


@pytest.mark.parametrize("number", [10**9, 10**30])
def test_a_record_of_a_number_beyond_all_versions_is_damaged(settings: Settings, number: int) -> None:
    """The next version would have a number that no command takes."""
    versions.promote(settings, int(add_version(settings, 1).name), "ann")
    record = versions.family(settings).record_path
    record.write_text(json.dumps({"version": number, "history": []}))
    assert in_force(settings) == "pets"
    assert versions.next_version(settings) == 2


def in_force_of(found: list[Listed]) -> list[bool]:
    return [listed.is_in_force for listed in found]


def test_a_version_is_promoted_and_rolled_back_through_all_before(settings: Settings) -> None:
    for number in (1, 2, 3):
        add_version(settings, number)
    assert in_force(settings) == "pets"
    for number in (1, 3, 2, 0):
        assert versions.promote(settings, number, "ann", "looks good").number == number
        assert in_force(settings) == (f"pets@{number}" if number else "pets")
    back = [versions.rollback(settings, "ben").number for _ in range(4)]
    assert back == [2, 3, 1, 0]
    assert in_force(settings) == "pets"
    with pytest.raises(SettingsError, match="no other version was in force before"):
        versions.rollback(settings, "ben")
    versions.promote(settings, 2, "cat")
    assert versions.rollback(settings, "cat").number == 0


def test_the_record_says_who_changed_what_when_and_why(settings: Settings) -> None:
    add_version(settings, 1)
    versions.promote(settings, 1, "ann", "looks good")
    versions.rollback(settings, "ben")
    content = json.loads((settings.state / "models" / "pets" / "in_force.json").read_bytes())
    assert content["version"] == 0
    said = [(step["version"], step["by"], step["why"], step["kind"]) for step in content["history"]]
    assert said == [(1, "ann", "looks good", "promote"), (0, "ben", "rolled back", "rollback")]
    assert all(step["at"].endswith("+00:00") for step in content["history"])


def test_promoting_what_is_in_force_changes_nothing(settings: Settings) -> None:
    add_version(settings, 1)
    versions.promote(settings, 1, "ann")
    before = Record.read(versions.family(settings).record_path)
    versions.promote(settings, 1, "ben")
    assert Record.read(versions.family(settings).record_path) == before


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (damage, "this is not the file that bundle.yaml describes"),
        (lambda path: (path / "bundle.yaml").unlink(), "no bundle here"),
        (lambda path: (path / "bundle.yaml").write_text("["), "not readable as YAML"),
        (lambda path: shutil.rmtree(path) or small_bundle(path, 1), "its name is 1, expected pets@1"),
        (lambda path: small_bundle(path, 1, name="pets@1", folders={}), "has no folders"),
        (lambda path: small_bundle(path, 1, name="pets@1", folders={"cat": "failed"}), "reserved"),
    ],
)
def test_a_damaged_version_is_not_promoted(
    settings: Settings, spoil: Callable[[Path], object], problem: str
) -> None:
    spoil(add_version(settings, 1))
    with pytest.raises(ModelError, match=problem):
        versions.promote(settings, 1, "ann")
    assert in_force(settings) == "pets"


@pytest.mark.parametrize("number", [2, 99])
def test_a_version_that_is_not_there_is_not_promoted(settings: Settings, number: int) -> None:
    add_version(settings, 1)
    with pytest.raises(SettingsError, match=f"{number}: no such version of pets; there are: 0, 1"):
        versions.promote(settings, number, "ann")


def test_a_version_damaged_later_is_replaced_by_the_one_before(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2):
        add_version(settings, number)
        versions.promote(settings, number, "ann")
    damage(versions.in_force(settings))
    with caplog.at_level(logging.WARNING):
        assert load_bundle(settings).name == "pets@1"
    assert "pets@2 cannot be used; the version before it is" in caplog.text
    shutil.rmtree(settings.state / "models" / "pets" / "1")
    assert load_bundle(settings).name == "pets"
    assert versions.rollback(settings, "ben").number == 0, "a version that is gone is passed over"


def test_versions_of_another_base_are_named_once_and_not_used(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    add_version(settings, 1)
    versions.promote(settings, 1, "ann")
    small_bundle(settings.base / "models" / "pets", seed=7)
    with caplog.at_level(logging.WARNING):
        assert in_force(settings) == "pets"
        assert in_force(settings) == "pets"
    assert caplog.text.count("was learnt from a pets with other weights") == 1
    with pytest.raises(ModelError, match="learn again"):
        versions.promote(settings, 1, "ann")
    assert [(listed.version.number, listed.is_in_force) for listed in listing(settings)] == [
        (0, True), (1, False),
    ]  # fmt: skip
    assert "learn again" in str(listing(settings)[1].problem)
    add_version(settings, 2)
    versions.promote(settings, 2, "ann")
    assert in_force(settings) == "pets@2"
    assert versions.rollback(settings, "ann").number == 0, "not to one of another base"


def test_a_version_that_names_no_base_counts_as_of_the_base_of_its_promotion(settings: Settings) -> None:
    path = add_version(settings, 1)
    (path / "learnt.json").unlink()
    versions.promote(settings, 1, "ann")
    assert in_force(settings) == "pets@1"
    small_bundle(settings.base / "models" / "pets", seed=7)
    assert in_force(settings) == "pets"


def test_another_model_of_the_settings_has_versions_of_its_own(settings: Settings) -> None:
    add_version(settings, 1)
    versions.promote(settings, 1, "ann")
    small_bundle(settings.base / "models" / "zoo")
    other = settings.model_copy(update={"model": "zoo"})
    assert in_force(other) == "zoo"
    assert in_force(settings) == "pets@1"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", '{"version": "1"}', '{"version": true}', '{"version": -1}', '{"history": []}',
     '{"version": 1, "history": [{}]}', '{"version": 1, "history": 3}', "\udcff", "[" * 100_000],
)  # fmt: skip
def test_a_damaged_record_leaves_the_base_in_force_and_can_be_written_anew(
    settings: Settings, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    add_version(settings, 1)
    versions.promote(settings, 1, "ann")
    record = versions.family(settings).record_path
    record.write_bytes(text.encode(errors="surrogateescape"))
    assert in_force(settings) == "pets"
    assert "cannot be read as the record of the model in force" in caplog.text
    assert [listed.is_in_force for listed in listing(settings)] == [True, False]
    versions.promote(settings, 1, "ann")
    assert in_force(settings) == "pets@1"


def test_a_record_that_names_a_version_without_history_is_believed(settings: Settings) -> None:
    add_version(settings, 1)
    versions.family(settings).record_path.write_text('{"version": 1, "history": []}')
    assert in_force(settings) == "pets@1"
    assert versions.rollback(settings, "ann").number == 0


def test_no_number_is_given_twice(settings: Settings) -> None:
    assert [versions.next_version(settings) for _ in range(2)] == [1, 2]
    shutil.rmtree(add_version(settings, 7))
    add_version(settings, 5)
    assert versions.next_version(settings) == 6
    versions.promote(settings, 5, "ann")
    shutil.rmtree(settings.state / "models" / "pets" / "5")
    assert versions.next_version(settings) == 7
    (settings.state / "models" / "pets" / "last_version").unlink()
    assert versions.next_version(settings) == 6, "it follows those that were in force"


def test_folders_of_versions_are_as_private_as_state(settings: Settings) -> None:
    versions.next_version(settings)
    for folder in (settings.state, settings.state / "models", settings.state / "models" / "pets"):
        assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["a/b", "../../up", ".hidden", ".", "..", "100%2F"])
def test_the_name_of_a_model_never_leads_out_of_the_folder_of_versions(settings: Settings, name: str) -> None:
    small_bundle(settings.base / "models" / "pets", name=name)
    folder = versions.family(settings).folder
    assert folder.parent == settings.state / "models"
    assert not folder.name.startswith(".")


def test_killed_at_any_moment_of_a_promotion_the_record_is_the_old_or_the_new(
    settings: Settings, mortal: Mortal
) -> None:
    for number in (1, 2):
        add_version(settings, number)
    versions.promote(settings, 1, "ann")
    seen = set()
    for moment in range(100):
        died = mortal.dies_at(moment, lambda: versions.promote(settings, 2, "ann"))
        seen.add(in_force(settings))
        if not died:
            break
        versions.promote(settings, 1, "ann")
        assert in_force(settings) == "pets@1"
    assert not died
    assert seen == {"pets@1", "pets@2"}
    left = [path.name for path in versions.family(settings).folder.iterdir() if ".tmp" in path.name]
    assert left == []


def test_one_process_learns_at_a_time(settings: Settings) -> None:
    versions.next_version(settings)
    with learn_status.learning(settings), pytest.raises(LockError, match="another process is learning"):  # noqa: SIM117
        with learn_status.learning(settings):
            pass
    with learn_status.learning(settings):
        pass


def test_the_newest_version_never_in_force_is_the_challenger(settings: Settings) -> None:
    assert challenger(versions.family(settings)) is None
    for number in (1, 2):
        add_version(settings, number, learnt={"verdict": WORSE} if number == 2 else None)
    versions.promote(settings, 1, "ann")
    found = challenger(versions.family(settings))
    assert found is not None
    assert (found.version.name, found.is_better, found.reason) == ("pets@2", False, WORSE["reason"])
    versions.promote(settings, 2, "ann")
    assert challenger(versions.family(settings)) is None
    versions.rollback(settings, "ann")
    assert challenger(versions.family(settings)) is None, "it was tried"


@pytest.mark.parametrize("verdict", [None, 3, "better", {"better": "yes"}, {}])
def test_only_a_plain_verdict_says_better(settings: Settings, verdict: object) -> None:
    add_version(settings, 1, learnt={"verdict": verdict})
    found = challenger(versions.family(settings))
    assert found is not None
    assert not found.is_better
