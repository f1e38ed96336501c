"""Sweep: train with several architectures and recipes on one split of the photos, and keep the best bundle.

Each trial trains on the training photos and is ranked by its calibrated log loss on the validation photos;
the test photos take part in no choice. Optuna (Akiba et al. 2019) proposes the trials and stores them in the
work folder, so that an interrupted sweep can be resumed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from models import calibration, plain_yaml, regular_files
from models.bundle.bundle import Bundle, load
from models.bundle.manifest import LEAST_PIXELS, MOST_PIXELS
from models.bundle.write_bundle import compose, content_of, files_of, write
from models.data.batches import batches
from models.data.dataset import Photos
from models.errors import ArchitectureError, BundleError, DatasetError, RecipeError
from models.inference.engines import open_engine
from models.installation import install_command
from models.networks import architectures, recipes
from models.networks.recipes import Value
from models.networks.tf_runtime import keras
from models.progress import ProgressCallback
from models.training.leaderboard import Trial, write_leaderboard
from models.training.options import TrainOptions
from models.training.train import check_out, scanned, train_on

log = logging.getLogger(__name__)

_MORE = ("input_size", "init")  # options of a training that a sweep may vary beside the recipe


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Range(_Section):
    """Numbers from `low` to `high`, integers if both are; `log` draws them on a logarithmic scale."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low > self.high or (self.log and self.low <= 0):
            raise ValueError("expected low up to high, and above 0 with log")
        return self


class Plan(_Section):
    """The contents of a sweep's file."""

    trials: int = Field(ge=1, le=1_000_000, strict=True)
    seed: int = Field(1, ge=0, lt=2**32, strict=True)
    architectures: list[str] = Field(min_length=1)
    parameters: dict[str, Range | list[Value | None] | Value | None] = {}
    strategies: dict[str, dict[str, Value | None]] = {}

    @field_validator("architectures")
    @classmethod
    def _known_architectures(cls, names: list[str]) -> list[str]:
        if unknown := [name for name in names if name not in architectures.ARCHITECTURES]:
            raise ValueError(f"no {unknown[0]!r}; there are {', '.join(sorted(architectures.ARCHITECTURES))}")
        return names

    @field_validator("parameters", "strategies")
    @classmethod
    def _known_parameters(cls, values: dict[str, Any], info: Any) -> dict[str, Any]:
        try:
            for chosen in values.values() if info.field_name == "strategies" else [values]:
                for key, value in chosen.items():
                    _check(key, value)
        except RecipeError as error:
            raise ValueError(error) from error
        return values


def _check(key: str, value: Range | list[Value | None] | Value | None) -> None:
    """Raise RecipeError unless each value that a sweep may choose suits the key; None is the default."""
    recipes.check_key(key, *_MORE)
    several = [value.low, value.high] if isinstance(value, Range) else value
    if several == []:
        raise RecipeError(f"{key}: expected a list of at least one value")
    for each in several if isinstance(several, list) else [several]:
        if each is not None:
            _check_one(key, each)


def _check_one(key: str, value: Value) -> None:
    if key not in _MORE:
        recipes.checked(key, value)
    elif key == "init" and not isinstance(value, str):
        raise RecipeError(f"init: expected the name of initial weights, not {plain_yaml.quoted(value)}")
    elif key == "input_size" and not (isinstance(value, int) and LEAST_PIXELS <= value <= MOST_PIXELS):
        expected = f"a whole number from {LEAST_PIXELS} to {MOST_PIXELS}"
        raise RecipeError(f"input_size: expected {expected}, not {plain_yaml.quoted(value)}")


def read_plan(path: Path) -> Plan:
    """Read a sweep's file. Raises DatasetError that names the key."""
    try:
        return Plan.model_validate(plain_yaml.load(regular_files.read_text(path)))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'all'}: {e['msg']}" for e in error.errors()[:5])
        raise DatasetError(f"{path}: {wrong}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from error


def sweep(
    options: TrainOptions, path: Path, progress: ProgressCallback = lambda _: None
) -> tuple[Bundle, Sequence[Trial]]:
    """Run the remaining trials of a sweep's file; return the best bundle and all trials, best first.

    `options` are used where the file has no value. Writes bundle and leaderboard.csv to `options.out`.
    Raises DatasetError, ArchitectureError where Optuna is missing, BundleError where no trial worked.
    """
    plan = read_plan(path)
    if importlib.util.find_spec("optuna") is None:
        raise ArchitectureError(
            f"--sweep needs Optuna, of pawsort[train]: run `{install_command(extra='train')}`"
        )
    check_out(options.out)
    photos = scanned(options, progress)
    runner = _Runner(options, plan, photos, progress)
    with _study(options, plan, photos) as study:
        _requeue_interrupted(study)
        study.optimize(runner.run, n_trials=max(0, plan.trials - len(_finished(study))))
        done = _trials(study)
    if not done or done[0].log_loss is None:
        raise BundleError(f"{path}: no trial worked: {done[0].problem if done else 'there was none'}")
    bundle = runner.keep(done[0])
    write_leaderboard(options.out, done)
    return bundle, done


@contextmanager
def _study(options: TrainOptions, plan: Plan, photos: Photos) -> Iterator[Any]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    options.work.mkdir(parents=True, exist_ok=True)
    # Quoted, since a name may have `?`, which would begin options.
    url = f"sqlite:///{quote(str(options.work / f'sweep-{options.out.name}.db'))}"
    storage = optuna.storages.RDBStorage(url)
    identity = json.dumps([options.command, plan.model_dump(exclude={"trials"})], default=str)
    name = hashlib.sha256(identity.encode() + photos.splits.tobytes() + photos.labels.tobytes()).hexdigest()
    try:
        yield optuna.create_study(
            storage=storage, study_name=name, load_if_exists=True,
            sampler=optuna.samplers.TPESampler(seed=plan.seed, n_startup_trials=5),
        )  # fmt: skip
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _finished(study: Any) -> list[Any]:
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]


def _requeue_interrupted(study: Any) -> None:
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)


def _trials(study: Any) -> list[Trial]:
    found = {t.user_attrs["key"]: Trial(**t.user_attrs) for t in _finished(study)}
    return sorted(found.values(), key=lambda t: (t.log_loss is None, t.log_loss or 0.0, t.key))


_FAILED_LOSS = 1e6  # reported to Optuna for a failed trial


class _Runner:
    """Train the trials that Optuna proposes."""

    def __init__(self, options: TrainOptions, plan: Plan, photos: Photos, progress: ProgressCallback) -> None:
        self._options, self._plan, self._photos, self._progress = options, plan, photos, progress
        self._folder = options.work / f"sweep-{options.out.name}"

    def run(self, proposal: Any) -> float:
        """Train a proposed trial, unless an equal one is done; return its validation log loss."""
        chosen = self._chosen(proposal)
        key = hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:12]
        known = next((t for t in _finished(proposal.study) if t.user_attrs["key"] == key), None)
        trial = Trial(**known.user_attrs) if known else self._train(key, chosen)
        for name in (f.name for f in fields(Trial)):
            proposal.set_user_attr(name, getattr(trial, name))
        log.info("trial %d: %s: %s", proposal.number + 1, trial.describe(), trial.problem or trial.log_loss)
        return _FAILED_LOSS if trial.log_loss is None else trial.log_loss

    def keep(self, best: Trial) -> Bundle:
        """Copy the best trial's bundle, history and card to the folder of the options."""
        bundle = load(self._folder / best.key)
        options = self._for(best.key, best.chosen)
        content = content_of(bundle)
        content["name"] = self._options.out.name
        content["made"]["command"] = replace(options, out=self._options.out).command
        files = files_of(bundle)
        kept = write(compose(self._options.out, content, *files), *files)
        for history in bundle.path.glob("history.*"):
            shutil.copy(history, kept.path)
        for card in bundle.path.glob("*.md"):
            text = card.read_text(encoding="utf-8").replace(str(bundle.path), str(kept.path))
            (kept.path / card.name).write_text(text.replace(best.key, kept.name), encoding="utf-8")
        return kept

    def _chosen(self, proposal: Any) -> dict[str, Value | None]:
        architecture = proposal.suggest_categorical("architecture", self._plan.architectures)
        chosen: dict[str, Value | None] = {"architecture": architecture}
        if architectures.known(architecture).fitted:
            return chosen
        if self._plan.strategies:
            chosen["strategy"] = proposal.suggest_categorical("strategy", sorted(self._plan.strategies))
            chosen |= self._plan.strategies[str(chosen["strategy"])]
        for name, values in self._plan.parameters.items():
            chosen[name] = _suggested(proposal, name, values)
        return chosen

    def _for(self, key: str, chosen: dict[str, Value | None]) -> TrainOptions:
        recipe = {name: value for name, value in chosen.items() if name in recipes.KEYS and value is not None}
        others: dict[str, Any] = {n: v for n, v in chosen.items() if n == "architecture" or n in _MORE}
        changes = {**self._options.changes, **recipe}
        return replace(self._options, out=self._folder / key, work=self._folder, changes=changes, **others)

    def _train(self, key: str, chosen: dict[str, Value | None]) -> Trial:
        began = time.monotonic()
        keras.backend.clear_session()
        try:
            bundle = train_on(self._for(key, chosen), self._photos, self._progress)
        except (ArchitectureError, BundleError, DatasetError, RecipeError) as error:
            return Trial(key, chosen, None, None, round(time.monotonic() - began, 1), str(error))
        validation = self._photos.split("validation")
        images = batches(validation.paths, bundle.input_size)
        engine, truth = open_engine(bundle, "tensorflow"), validation.labels.astype(int)
        answers = np.concatenate([engine.predict(part) for part in images]).astype(float)
        accuracy = float((answers.argmax(axis=1) == truth).mean())
        seconds = round(time.monotonic() - began, 1)
        return Trial(key, chosen, round(calibration.log_loss(answers, truth), 5), accuracy, seconds, None)


def _suggested(proposal: Any, name: str, values: Range | list[Value | None] | Value | None) -> Value | None:
    if isinstance(values, list):
        found: Value | None = proposal.suggest_categorical(name, values)
        return found
    if not isinstance(values, Range):
        return values
    whole = isinstance(values.low, int) and isinstance(values.high, int)
    suggest = proposal.suggest_int if whole else proposal.suggest_float
    number: Value = suggest(name, values.low, values.high, log=values.log)
    return number
