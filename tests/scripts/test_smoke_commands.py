from __future__ import annotations

from typer.main import get_command

from pipeline.cli.app import app
from scripts.smoke_commands import MORE, QUICK


def test_each_command_is_tried() -> None:
    """A new command: give it a step in scripts/smoke_commands.py. `main` tries `serve` and `classify`."""
    commands = getattr(get_command(app), "commands")  # noqa: B009 - of a class that Typer hides
    assert set(commands) - {step.words.split()[0] for step in (*QUICK, *MORE)} == {"serve", "classify"}
