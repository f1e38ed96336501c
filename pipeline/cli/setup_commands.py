"""The commands that set up an installation: settings, alerts, database, and the version in force."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import DEFAULT, Config, Json, load, load_or_default, own_files, words
from pipeline.errors import SettingsError, translated
from pipeline.settings.config import FILE_NAME

if TYPE_CHECKING:
    from pipeline.learning.versions import Version
    from pipeline.settings.config import Settings

config_app = typer.Typer(help="Check or print the settings.")
db_app = typer.Typer(help="Upgrade the database.")

By = Annotated[str | None, words("Name to record (default: your user name).")]
TEST_TEXT = "This is a test. Alerts of Pawsort will arrive here."
SHOWN = ("precision_at_threshold", "coverage_at_threshold", "neither_filed_at_threshold")
"""Figures in the table of models; JSON has all."""


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to make it; it may exist.")],
) -> None:
    """Make an installation: a config.yaml with all settings explained, and its folders.

    Nothing that exists is changed.

    Example: pawsort init ~/pets
    """
    from pipeline.setup.new_installation import make

    settings, made = make(folder)
    for path in made:
        print(f"made {path}")
    if not made:
        print(f"{settings.base}: everything was there; nothing was changed")
    start = shlex.join(["pawsort", "run", "--config", str(settings.base / FILE_NAME)])
    print(f"drop photos into {settings.inboxes[0]}, and start the worker: {start}")


@config_app.command("check")
def config_check(config: Config = DEFAULT) -> None:
    """Check the settings; exit 2 with a message if something is wrong.

    Example: pawsort config check --config /etc/pawsort/config.yaml
    """
    from db.connection.engine import check_url
    from pipeline.alerts import channels
    from pipeline.classifier import own_threshold
    from pipeline.classifier.configured_model import load_bundle, refuse_class_for_neither
    from pipeline.files.permissions import exposed
    from pipeline.office import packages
    from pipeline.originals import checks

    settings = load(config)
    with translated():
        check_url(settings.database_url)
    refuse_class_for_neither(settings, load_bundle(settings))
    checks.refuse_unlinkable(settings)
    no_alerts = channels.missing_package() if settings.notify.urls else None
    if not no_alerts:
        channels.check(settings.notify.urls)
    notes = (*exposed(settings), *checks.notes(settings), *packages.notes(settings), no_alerts)
    for note in filter(None, notes):
        print(f"pawsort: {note}", file=sys.stderr)
    if own := own_threshold.described(settings):
        print(f"decision.calibration: {own}")
    print(f"{config}: no problems")


@config_app.command("show")
def config_show(config: Config = DEFAULT, json: Json = False) -> None:
    """Print the effective settings, including the environment, with absolute paths.

    Example: pawsort config show --json
    """
    import yaml

    from pipeline.cli.output import print_json
    from pipeline.settings.shown import shown

    values = shown(load(config))
    if json:
        print_json(values)
    else:
        print(yaml.safe_dump(values, sort_keys=False), end="")


def notify(
    config: Config = DEFAULT,
    test: Annotated[
        bool, typer.Option("--test", help="Send a test to each URL of `notify`, and fetch `heartbeat_url`.")
    ] = False,
    message: Annotated[str | None, words("Send this text instead; `heartbeat_url` is left alone.")] = None,
    json: Json = False,
) -> None:
    """Send a message to each URL of `notify.urls` now, and print which took it; exit 1 if one was not.

    Example: pawsort notify --test
    """
    from pipeline.cli.output import print_json

    settings = load(config)
    if test is (message is not None):
        raise SettingsError("expected either --test, or --message TEXT")
    if not settings.notify.urls and (message or not settings.notify.heartbeat_url):
        raise SettingsError("notify.urls: there is no URL in the settings to send to; docs/operating.md")
    results = [*_sent(settings, message or TEST_TEXT), *(_fetched(settings) if test else ())]
    if json:
        print_json([{"to": place, "taken": not why, "problem": why} for place, why in results])
    else:
        for place, why in results:
            print(f"{place}: {f'not taken: {why}' if why else 'taken'}")
    raise typer.Exit(1 if any(why for _, why in results) else 0)


def _sent(settings: Settings, text: str) -> Iterator[tuple[str, str | None]]:
    from pipeline.alerts import channels
    from pipeline.alerts.message import of_user

    urls = settings.notify.urls
    if urls and (missing := channels.missing_package()):
        raise SettingsError(missing)
    for channel in channels.open_all(urls):
        if isinstance(channel, str):
            place, _, why = channel.partition(": ")
            yield place, why
        else:
            yield channel.place, channel.send(of_user(text, datetime.now(UTC)))


def _fetched(settings: Settings) -> Iterator[tuple[str, str | None]]:
    from pipeline.alerts.heartbeat_ping import fetched

    if url := settings.notify.heartbeat_url:
        yield "notify.heartbeat_url", fetched(url)


@db_app.command("upgrade")
def db_upgrade(
    config: Config = DEFAULT,
    no_backup: Annotated[
        bool, typer.Option("--no-backup", help="Make no backup into `backup.folder` before.")
    ] = False,
) -> None:
    """Make the database, or migrate it to this version, after a backup.

    Example: pawsort db upgrade
    """
    from db.connection.engine import upgrade
    from pipeline.backup.scheduled import before_upgrade
    from pipeline.files.permissions import limited, make_folder, own_mode

    settings = load(config)
    if not no_backup and (made := before_upgrade(settings, config)):
        print(f"backed up as {made}")
    settings.state.parent.mkdir(parents=True, exist_ok=True)
    with translated(), limited(settings.permissions):
        make_folder(settings.state)
        upgrade(settings.database_url, own_mode(0o644))
    print("the database is up to date")


def models(config: Config = DEFAULT, json: Json = False) -> None:
    """List the configured model, all versions learnt from it, and the other models.

    The figures are those at the target precision of the settings. In a table, `*` marks the version in force.

    Example: pawsort models --json
    """
    from pipeline.cli.output import print_json, print_table
    from pipeline.web.served_models.model_list import model_list

    rows = model_list(load_or_default(config))
    if json:
        print_json(rows)
    else:
        print_table(map(_in_short, rows), ["in_force", "name", "learnt", *SHOWN, "better", "note"])


def learn(
    config: Config = DEFAULT,
    whole: Annotated[
        bool,
        typer.Option("--whole", help="Train the whole network, where 200 photos of each class were judged."),
    ] = False,
    json: Json = False,
) -> None:
    """Learn from the photos that people judged: write a new version of the model, and compare it.

    It is not used before `pawsort promote` puts it in force.

    Example: pawsort learn
    """
    from pipeline.cli.output import print_json, print_table
    from pipeline.cli.progress import training_progress
    from pipeline.learning import summary
    from pipeline.learning.learn import learn as make

    settings = load(config)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what is half written is removed
    with own_files(settings, "read") as (own, everyone), training_progress() as progress:
        version, result = make(settings, everyone, progress, whole=whole, own=own)
    if json:
        print_json({"version": version.number, **result.model_dump(mode="json")})
        return
    print(summary.heading(result))
    rows = summary.table(result)
    print_table(rows, list(rows[0]))
    print(*summary.conclusions(result, version.number), sep="\n")
    for line in summary.notes(result):
        typer.echo(f"note: {line}", err=True)


def promote(
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="A number from `models`; 0 or base: as it came.")
    ],
    config: Config = DEFAULT,
    by: By = None,
    json: Json = False,
) -> None:
    """Put a learnt version of the model in force; a running worker changes to it by itself.

    Example: pawsort promote 3
    """
    from pipeline.learning import versions

    settings = load(config)
    _print_in_force(versions.promote(settings, _number(version, settings), _name(by)), json)


def rollback(config: Config = DEFAULT, by: By = None, json: Json = False) -> None:
    """Put the version that was in force before in force again; a running worker changes to it by itself.

    Example: pawsort rollback
    """
    from pipeline.learning import versions

    _print_in_force(versions.rollback(load(config), _name(by)), json)


def _print_in_force(version: Version, json: bool) -> None:
    from pipeline.cli.output import print_json

    if json:
        print_json({"version": version.number, "name": version.name, "path": str(version.path)})
    else:
        print(f"{version.name} is in force; a running worker changes to it by itself")


def _number(text: str, settings: Settings) -> int:
    """Return the number of a version: `3`, `NAME@3`, `base` or `NAME`. Raises SettingsError."""
    from pipeline.learning.versions import family

    name = family(settings).base.name
    number = text.removeprefix(f"{name}@")
    if text in ("base", name):
        return 0
    if number.isascii() and number.isdigit() and len(number) < 10:
        return int(number)
    raise SettingsError(
        f"{text[:80]}: expected the number of a version, or base; `pawsort models` lists them"
    )


def _name(by: str | None) -> str:
    from pipeline.corrections.correct_undo_retry import login_name

    return by or login_name()


def _in_short(row: dict[str, Any]) -> dict[str, Any]:
    learnt = row["learnt"] or {}
    verdict = learnt.get("verdict")
    better = verdict.get("better") if isinstance(verdict, dict) else None
    reason = str(verdict.get("reason", "")) if isinstance(verdict, dict) else ""
    figures = {name: row["figures"].get(name, {}).get("value") for name in SHOWN}
    return figures | {
        "in_force": "*" if row["in_force"] else "",
        "name": row["name"],
        "learnt": str(learnt["at"])[:16] if "at" in learnt else None,
        "better": None if better is None else "yes" if better is True else "no",
        "note": row["problem"] or reason or None,
    }
