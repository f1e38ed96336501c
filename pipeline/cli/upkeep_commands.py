"""The commands for what Pawsort remembers: back up, restore, follow folders that moved, and what it keeps."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from db.schema.file_names import escape
from pipeline.cli.options import DEFAULT, Config, Json, database, load, own_files, words
from pipeline.errors import SettingsError

if TYPE_CHECKING:
    from pipeline.backup.manifest import Manifest
    from pipeline.backup.restore import Restored


def backup(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The file to write, or a folder, in which a name is chosen."),
    ],
    config: Config = DEFAULT,
    json: Json = False,
) -> None:
    """Back up what Pawsort remembers into one file, while it works, and verify it.

    Database, settings and learnt models, never photos. Only you can read the file: it may hold passwords.

    Example: pawsort backup /mnt/disk/pets.zip
    """
    from pipeline.backup.make import make
    from pipeline.backup.scheduled import name_at
    from pipeline.cli.printing.output import print_json

    settings, now = load(config), datetime.now(UTC)
    path = file / name_at(now) if file.is_dir() else file
    manifest = make(settings, config, path, now=lambda: now)
    if json:
        print_json({"path": str(path), **_plain(manifest)})
    else:
        print(f"{path}: {_described(manifest)}, {path.stat().st_size / 1e6:.1f} MB, verified")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    config: Config = DEFAULT,
    into: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Restore its settings too, as config.yaml in this folder."),
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Only verify the backup; write nothing.")] = False,
    json: Json = False,
) -> None:
    """Restore a backup where nothing of it exists, then compare it with the folders.

    Without --into it is restored where your settings say. Nothing is overwritten.

    Example: pawsort restore /mnt/disk/pets.zip --into ~/pets
    """
    from pipeline.backup.archive import verified
    from pipeline.backup.restore import restore as put_back
    from pipeline.cli.printing.output import print_json

    if verify:
        manifest = verified(file)
        print_json(_plain(manifest)) if json else print(f"{file}: {_described(manifest)}, verified")
        return
    restored = put_back(file, config, into)
    found = _problems(restored)
    if json:
        print_json({**_plain(restored.manifest), "migrated": restored.migrated, "problems": found})
        return
    print(f"restored {_described(restored.manifest)} into {restored.settings.state}")
    if restored.migrated:
        print("its database was migrated to the schema of this Pawsort")
    if not found:
        print("doctor: no problems: rows, files and folders agree")
        return
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(found.items()))
    print(
        f"doctor: {counts}; `pawsort doctor` lists them, and `pawsort doctor --repair` repairs what is safe"
    )


def relocate(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The folder as rows name it.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Where it is now, or a copy of it.")],
    config: Config = DEFAULT,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; no worker may be running.")] = False,
    json: Json = False,
) -> None:
    """Let all rows follow a folder that was moved or copied to another place; say first what would follow.

    Rows of filed photos, of those on their way, put back and deleted, of originals and inboxes; symbolic
    links too. A state folder that stays behind is marked, so that no worker starts there.

    Example: pawsort relocate /srv/pets /mnt/disk/pets --apply
    """
    from pipeline.cli.printing.output import print_json
    from pipeline.relocate.follow import follow
    from pipeline.relocate.plan import moved_folder, plan

    settings, move = load(config), moved_folder(old, new)
    with own_files(settings, "write" if apply else "read", moving=True) as (own, _):
        made = follow(own, settings, move, datetime.now(UTC)) if apply else plan(own, settings, move)
    if json:
        print_json(made.as_dict())
    else:
        print(made.as_text(done=apply))
    raise typer.Exit(1 if made.problems else 0)


def keep(
    config: Config = DEFAULT,
    apply: Annotated[bool, typer.Option("--apply", help="Delete it now, rather than at night.")] = False,
    json: Json = False,
) -> None:
    """Say what the settings `keep` would delete; the worker deletes it each night.

    Example: pawsort keep
    """
    from pipeline.cli.printing.output import print_json
    from pipeline.logs import printable
    from pipeline.retention.keeper import Keeper

    settings = load(config)
    with own_files(settings, "write" if apply else "read") as (own, everyone):
        keeper = Keeper(own, settings, everyone=everyone)
        gone = keeper.apply() if apply else keeper.plan()
    files = [escape(entry.path or b"") for entry in gone.failed]
    if json:
        print_json({"reports": list(map(str, gone.reports)), "failed": files, "rows": list(gone.rows)})
        return
    for name in (*map(str, gone.reports), *files):
        print(printable(name))
    print(f"{'deleted' if apply else 'would be deleted'}: {gone}")


def workers(
    config: Config = DEFAULT,
    take_over: Annotated[
        str | None,
        words("Take the place of this worker, whose machine is replaced by this one.", metavar="NAME"),
    ] = None,
    retire: Annotated[
        str | None,
        words(
            "Record that the machine of this worker is gone for good, so that it is no longer silent.",
            metavar="NAME",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the workers of the database: the name of each, and whether it runs.

    With PostgreSQL there may be many, each on a machine of its own; `here` marks the one of these settings.

    Example: pawsort workers --take-over office
    """
    from pipeline.cli.printing.output import print_json, print_table
    from pipeline.worker import listing

    settings = load(config)
    if take_over is not None and retire is not None:
        raise SettingsError("--take-over and --retire are for different machines; give one of them")
    if take_over is not None:
        with database(settings, "write") as engine:
            listing.replace(engine, settings, take_over)
    if retire is not None:
        with database(settings, "write") as engine:
            listing.retire(engine, retire)
    with database(settings, "read") as engine:
        rows = listing.listed(engine, settings)
    if json:
        print_json(rows)
    else:
        moments = ["started_at", "beat_at", "stopped_at", "retired_at"]
        print_table(rows, ["name", "runs", "here", *moments, "address"])


def _problems(restored: Restored) -> dict[str, int]:
    """Return how many problems of each kind `doctor` finds after a restore."""
    from pipeline.cli.doctor_command import examined

    return dict(Counter(str(problem.kind) for problem in examined(restored.settings, hashes=False)))


def _plain(manifest: Manifest) -> dict[str, Any]:
    return manifest.model_dump(mode="json")


def _described(manifest: Manifest) -> str:
    database = manifest.database
    return (
        f"the {database.kind} database of {manifest.began_at:%Y-%m-%d %H:%M:%S} UTC with "
        f"{database.rows.get('files', 0)} rows of photos (version {database.revision}) and "
        f"{len(manifest.files) - 1} other files"
    )
