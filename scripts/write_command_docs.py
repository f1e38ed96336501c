"""Write docs/commands.md from the --help of the commands: `python -m scripts.write_command_docs`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from pipeline.cli.app import app

TARGET = Path(__file__).parents[1] / "docs" / "commands.md"
WIDTH = 100

EXIT_CODES = {
    0: "success",
    1: "done, but some files failed, could not be moved or do not agree; or `status --check` found no healthy"
    " worker; or a folder cannot be written; or `notify` could not deliver a message",
    2: "the command line, a setting or the layout of the folders is wrong",
    3: "the model cannot be used",
    4: "the database cannot be used; started by systemd, the worker waits for one that cannot be reached",
    5: "another worker, or another `correct`, `undo` or `export`, uses the same folders",
    6: "no part of a `backfill run` has finished for a long time; the same command continues it",
    129: "stopped by SIGHUP, the terminal was closed",
    130: "stopped by SIGINT, that is Ctrl-C",
    143: "stopped by SIGTERM",
}

INTRODUCTION = f"""\
# Commands

<!-- Made by `python -m scripts.write_command_docs` from the commands' own --help. Do not edit. -->

`pawsort` and `python run_worker.py` are the same command. Without a subcommand, the worker runs.

Data goes to stdout; messages, progress and the log go to stderr. Commands that list or measure something have
`--json`. `--config PATH` may stand before or after the command; `train` and `evaluate` take no settings.

## Exit codes

| code | means |
|---|---|
{"".join(f"| {code} | {meaning} |" + chr(10) for code, meaning in EXIT_CODES.items())}
After the first signal the worker finishes the current batch; a second one ends it at once. No file is lost in
either case.
"""


def commands() -> Iterator[tuple[str, Any]]:
    """Yield the full name and context of each command, groups before their commands."""
    root = get_command(app)
    context = root.make_context("pawsort", [], resilient_parsing=True, terminal_width=WIDTH)
    yield from _below("pawsort", root, context)


def text() -> str:
    """Return the text of docs/commands.md."""
    return INTRODUCTION + "".join(map(_section, commands()))


def _below(name: str, command: Any, context: Any) -> Iterator[tuple[str, Any]]:
    yield name, context
    for word, inner in getattr(command, "commands", {}).items():
        inner_context = inner.make_context(
            word, [], parent=context, resilient_parsing=True, terminal_width=WIDTH
        )
        yield from _below(f"{name} {word}", inner, inner_context)


def _section(named: tuple[str, Any]) -> str:
    name, context = named
    lines = (line.rstrip() for line in context.get_help().splitlines())
    return f"\n## {name}\n\n```text\n" + "\n".join(lines) + "\n```\n" + _hidden(context.command)


def _hidden(command: Any) -> str:
    """Name the options that --help leaves out: older spellings of `--set`."""
    names = [f"`{option.opts[0]}`" for option in command.params if getattr(option, "hidden", False)]
    if not names:
        return ""
    return f"\nEach key of `--set` is also an option of its own: {', '.join(names)}.\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
