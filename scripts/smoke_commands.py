"""Try the commands of an installed Pawsort: `python -m scripts.smoke_commands PATH/TO/pawsort [--all]`.

Each command prints its help; then they run, in a folder that `init` makes. With `--all` more of them run, a
drawn photo is classified, and the pages are served, for which the package needs its extra `web`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

HELP = """
from typer.main import get_command
from pipeline.cli.app import app

def show(words, command):
    root.main([*words, "--help"], prog_name="pawsort", standalone_mode=False)
    for name, below in getattr(command, "commands", {}).items():
        show([*words, name], below)

root = get_command(app)
show([], root)
"""
"""One process for all of them, since each imports the same."""

START_SECONDS = 120
PORT = "48420"


class Step(NamedTuple):
    """A command, the exit code that it must have, and a part of what it must print."""

    words: str
    printed: str = ""
    code: int = 0


QUICK = (
    Step("--version", "pawsort "),
    Step("init HOME", "made HOME/inbox"),
    Step("config check", "no problems"),
    Step("config show", "model: cats_dogs"),
    Step("run --once", "loading model cats_dogs"),
    Step("query --format csv", "id,name,inbox"),
    Step("status", "total      0"),
    Step("doctor", "no problems"),
    Step("report", "summary-"),
)
"""They print something of their own, so that each has imported what it needs."""

MORE = (
    Step("db upgrade", "up to date"),
    Step("models --json", "cats_dogs"),
    Step("check --json", '"precision": null'),
    Step("export HOME/exported", "0 photos exported"),
    Step("run --dry-run", "destination"),
    Step("undo --last 1", "nothing to do"),
    Step("retry HOME/sorted/failed", "is not a filed photo", 1),
    Step("correct HOME/none.jpg --as cat", "is not a filed photo", 1),
    Step("learn", "no photo was judged yet", 2),
    Step("promote 1", "no such version", 2),
    Step("notify --test", "no URL in the settings", 2),
    Step("backup HOME/backup.zip", "verified"),
    Step("restore HOME/backup.zip --into HOME/restored", "restored the sqlite database"),
    Step("relocate HOME/before HOME/sorted", "nothing to do"),
    Step("keep", "would be deleted: 0 reports"),
    Step("workers", "beat_at"),
    Step("rollback", "nothing to roll back", 2),
    Step("train HOME", "Missing option", 2),
    Step("evaluate cats_dogs", "Missing argument", 2),
)


def run(pawsort: Path, home: Path, steps: Iterable[Step]) -> list[str]:
    """Run steps with the settings of `home`; return a line for each that did something else."""
    return [line for step in steps if (line := _problem(pawsort, home, step))]


def helps(pawsort: Path) -> list[str]:
    """Let every command print its help; return a line if one cannot."""
    done = _call([pawsort.with_name("python"), "-c", HELP], Path("/nowhere"))
    return [] if done.returncode == 0 and "Usage: pawsort" in done.stdout else [f"--help: {done.stderr}"]


def pages(pawsort: Path, home: Path) -> list[str]:
    """Serve the pages and the metrics; return a line if they do not answer."""
    words = [pawsort, "serve", "--port", PORT]
    server = subprocess.Popen(words, env=_environment(home), cwd="/")  # noqa: S603 - of the installation
    try:
        for path in ("/metrics", "/"):
            _wait_for(f"http://127.0.0.1:{PORT}{path}")
    except OSError as error:
        return [f"serve: {error}"]
    finally:
        server.terminate()
        server.wait(START_SECONDS)
    return []


def _wait_for(address: str) -> None:
    for pause in range(START_SECONDS, 0, -1):
        try:
            with urllib.request.urlopen(address, timeout=10):  # noqa: S310 - of this machine
                return
        except OSError:
            if pause == 1:
                raise
            time.sleep(1)


def _problem(pawsort: Path, home: Path, step: Step) -> str | None:
    words = [word.replace("HOME", str(home)) for word in step.words.split()]
    done = _call([pawsort, *words], home)
    said = done.stdout + done.stderr
    if done.returncode == step.code and step.printed.replace("HOME", str(home)) in said:
        return None if "Traceback" not in said else f"{step.words}: {said}"
    return f"{step.words}: exit code {done.returncode} instead of {step.code}\n{said}"


def _call(words: list[str | Path], home: Path) -> subprocess.CompletedProcess[str]:
    environment = _environment(home)
    return subprocess.run(words, cwd="/", env=environment, capture_output=True, text=True)  # noqa: S603


def _environment(home: Path) -> dict[str, str]:
    """Return no more of this process's variables than a command needs."""
    return {"PATH": os.environ["PATH"], "PAWSORT_CONFIG": str(home / "config.yaml"), "COLUMNS": "120"}


def main() -> int:
    """Try all; return 1 if something is wrong."""
    pawsort, is_all = Path(sys.argv[1]).absolute(), "--all" in sys.argv
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder).resolve() / "pets"
        problems = [*helps(pawsort), *run(pawsort, home, QUICK)]
        if is_all:
            from PIL import Image

            Image.effect_noise((300, 200), 80).convert("RGB").save(photo := home / "noise.jpg")
            steps = (*MORE, Step(f"classify {photo}", "noise.jpg"))
            problems += [*run(pawsort, home, steps), *pages(pawsort, home)]
    print("\n".join(problems) or f"{pawsort}: every command does what it should")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
