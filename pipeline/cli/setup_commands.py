"""The commands `config check`, `config show` and `db upgrade`."""

from __future__ import annotations

import sys

import typer

from pipeline.cli.options import DEFAULT, Config, Json, load
from pipeline.errors import translated

config_app = typer.Typer(help="Check or print the settings.")
db_app = typer.Typer(help="Upgrade the database.")


@config_app.command("check")
def config_check(config: Config = DEFAULT) -> None:
    """Check the settings; exit 2 with a message if something is wrong.

    Example: pawsort config check --config /etc/pawsort/config.yaml
    """
    from db.connection.engine import check_url
    from pipeline.classifier.configured_model import load_bundle
    from pipeline.permissions import exposed

    settings = load(config)
    with translated():
        check_url(settings.database_url)
    load_bundle(settings)
    for note in exposed(settings):
        print(f"pawsort: {note}", file=sys.stderr)
    print(f"{config}: no problems")


@config_app.command("show")
def config_show(config: Config = DEFAULT, json: Json = False) -> None:
    """Print the effective settings, including the environment, with absolute paths.

    Example: pawsort config show --json
    """
    import yaml

    from pipeline.cli.output import print_json
    from pipeline.logs import masked

    values = load(config).model_dump(mode="json")
    for section, key in [(values["web"], "token"), (values, "database")]:
        section[key] = masked(section[key])
    if json:
        print_json(values)
    else:
        print(yaml.safe_dump(values, sort_keys=False), end="")


@db_app.command("upgrade")
def db_upgrade(config: Config = DEFAULT) -> None:
    """Make the database, or migrate it to this version.

    Example: pawsort db upgrade
    """
    from db.connection.engine import upgrade
    from pipeline.permissions import limited, make_folder, own_mode

    settings = load(config)
    settings.state.parent.mkdir(parents=True, exist_ok=True)
    with translated(), limited(settings.permissions):
        make_folder(settings.state)
        upgrade(settings.database_url, own_mode(0o644))
    print("the database is up to date")
