from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models.installation import install_command
from pipeline.classifier.messages import ClassificationResult
from pipeline.cli import app
from pipeline.service import service
from pipeline.settings.config import Settings
from pipeline.web.web_process import WebProcess
from tests.pipeline.cli.conftest import Run

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("words", [["run"], ["run", "--once"], ["run", "--serve"], ["serve"], []])
def test_a_service_leaves_the_folder_that_it_is_started_in(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """It may be removed, and its disk unmounted; starting a child process would fail there."""
    found: list[tuple[Path, Path]] = []
    pages: list[list[str]] = []

    def service(settings: Settings, beside: Any = None, **_: object) -> int:
        with beside or nullcontext():
            found.append((Path.cwd(), settings.sorted))
        return 0

    monkeypatch.setattr("pipeline.service.service.run", service)
    monkeypatch.setattr("pipeline.web.server.serve", service)
    monkeypatch.setattr(WebProcess, "__init__", lambda self, command: pages.append(command))
    monkeypatch.setattr(WebProcess, "stop", lambda self: None)
    assert run(*words).code == 0
    assert found == [(Path("/"), tmp_path / "sorted")]
    assert [command[-1] for command in pages] == [str(tmp_path / "config.yaml")] * ("--serve" in words)


def test_the_pages_can_learn_and_write_reports_by_the_same_settings(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(
        "pipeline.web.server.serve", lambda _, learn, report: commands.extend((learn, report)) or 0
    )
    assert run("serve").code == 0
    for command, name in zip(commands, ("learn", "report"), strict=True):
        assert command[-3:] == [name, "--config", str(tmp_path / "config.yaml")]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["paint"], 2, "No such command 'paint'"),
        (["run", "--twice"], 2, "No such option: --twice"),
        (["--once", "status"], 2, "--once, --dry-run and --serve are options of `run`"),
        (["--serve", "status"], 2, "are options of `run`"),
        (["run", "--serve", "--once"], 2, "--serve needs a worker that keeps running"),
        (["serve", "--host", "0.0.0.0"], 2, "can be reached by other machines: expected a token"),
        (["serve", "--port", "70000"], 2, "--port"),
        (["run", "--config", "none.yaml"], 2, "none.yaml: no such file"),
        (["classify"], 2, "Missing argument 'PATH...'"),
        (["classify", "none.jpg"], 2, "none.jpg: no such file or folder"),
        (["query", "--min-confidence", "7"], 2, "--min-confidence"),
        (["query", "--since", "yesterday"], 2, "'yesterday' is not a time"),
        (["query", "--limit", "0"], 2, "--limit"),
        (["query", "--format", "xml"], 2, "'xml' is not one of 'table', 'csv', 'json'"),
        (["query"], 4, "There is no database"),
        (["report", "--date", "2026-13-01"], 2, "'2026-13-01' is not a day"),
        (["report", "--date", "2026-01-01", "--from", "2026-01-01"], 2, "use either --date or the others"),
        (["report", "--from", "2026-01-02", "--to", "2026-01-01"], 2, "is after"),
        (["report", "--date", "2026-01-01", "--today"], 2, "or --today"),
        (["report"], 4, "There is no database"),
        (["report", "--today"], 4, "There is no database"),
        (["report", "--to", "2999-01-01"], 2, "2999-01-01 is in the future"),
        (["query", "--json", "--format", "csv"], 2, "are two formats"),
        (["train", "x", "--out", "y", "--folder", "cat"], 2, "expected LABEL=NAME"),
        (["train", "x", "--out", "y", "--folder", "a=b", "--folder", "a=c"], 2, "a has the folder b already"),
        (["doctor"], 4, "There is no database"),
        (["correct", "a.jpg"], 2, "Missing option '--as'"),
        (["correct", "a.jpg", "--as", "cat"], 4, "There is no database"),
        (["undo"], 2, "choose what to revert"),
        (["undo", "--last", "1", "--since", "2026-01-01"], 2, "choose what to revert"),
        (["undo", "--last", "1"], 4, "There is no database"),
        (["retry"], 2, "choose what to retry"),
        (["retry", "a.jpg", "--reason", "timeout"], 2, "choose what to retry"),
        (["retry", "--reason", "timeout"], 4, "There is no database"),
        (["train"], 2, "Missing"),
        (["evaluate"], 2, "Missing argument 'BUNDLE'"),
        (["config"], 2, "Missing command"),
        (["config", "check", "--config", "none.yaml"], 2, "none.yaml: no such file"),
        (["db", "downgrade"], 2, "No such command 'downgrade'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_use_is_one_clear_line_and_the_right_exit_code(
    run: Run, words: list[str], code: int, said: str
) -> None:
    done = run(*words)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith("pawsort: ")


@pytest.mark.parametrize("name", ["PAWSORT_MODEL"])
def test_a_model_that_is_not_there_is_exit_3(run: Run, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "./no_such_bundle")
    done = run("run", "--once")
    assert done.code == 3
    assert "no_such_bundle" in done.err


def test_a_file_that_is_not_a_database_gives_exit_4_and_is_not_changed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    database = tmp_path / "state" / "pawsort.db"
    database.write_bytes(b"this is not a database, but a diary" * 50)
    done = run("run", "--once")
    assert done.code == 4
    assert str(database) in done.err
    assert database.read_bytes().startswith(b"this is not a database")


def test_status_without_its_database_tells_of_the_worker_and_is_exit_4(run: Run, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "pawsort.db").write_bytes(b"")
    done = run("status")
    assert done.code == 4
    assert "worker     stopped" in done.out
    assert "is an empty file" in done.out


@pytest.mark.parametrize(
    "words",
    [
        ["run"], ["classify"], ["query"], ["report"], ["status"], ["doctor"], ["correct"], ["undo"],
        ["retry"], ["train"], ["evaluate"], ["config", "check"], ["config", "show"], ["db", "upgrade"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_help_shows_an_example(run: Run, words: list[str]) -> None:
    done = run(*words, "--help")
    assert done.code == 0
    assert f"Example: pawsort {' '.join(words)}" in done.out


def test_settings_can_be_named_before_or_after_the_command(run: Run, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("batch: {size: 3}", encoding="utf-8")
    for words in (["--config", "other.yaml", "config", "show", "--json"],
                  ["config", "show", "--json", "--config", "other.yaml"]):  # fmt: skip
        assert json.loads(run(*words).out)["batch"]["size"] == 3


def test_what_config_show_prints_is_a_config(run: Run, tmp_path: Path) -> None:
    shown = run("config", "show").out
    (tmp_path / "again.yaml").write_text(shown, encoding="utf-8")
    assert run("config", "show", "--config", "again.yaml").out == shown


def test_a_token_is_never_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAWSORT_WEB__TOKEN", "hunter2hunter2hunter2")
    monkeypatch.setenv("PAWSORT_NOTIFY__URLS", '["mailto://hunter2:hunter2@hunter2.org/?a=hunter2"]')
    monkeypatch.setenv("PAWSORT_NOTIFY__HEARTBEAT_URL", "https://hunter2:hunter2@hc-ping.com/hunter2?hunter2")
    shown = run("config", "show").out
    assert "hunter2" not in shown
    assert "mailto://***" in shown and "https://hc-ping.com/***" in shown


def test_status_before_the_first_start_says_so(run: Run) -> None:
    done = run("status", "--json")
    assert done.code == 0
    status = json.loads(done.out)
    assert (status["worker"], status["total"]) == ("stopped", 0)
    assert run("status", "--check").code == 1


def test_the_database_can_be_made_ahead(run: Run) -> None:
    assert run("db", "upgrade").code == 0
    assert json.loads(run("query", "--json").out) == []


@pytest.mark.parametrize("words", [["query"], ["status"], ["config", "show"], ["doctor"]], ids=" ".join)
def test_quick_commands_import_nothing_heavy_and_uncollected(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "config.yaml").write_text("", encoding="utf-8")
    code = (
        "import gc, sys; from pipeline import entry\n"
        "name, collected = 'pipeline.cli.app', []\n"
        "importing = lambda: name in sys.modules and not hasattr(sys.modules[name], 'main')\n"
        "gc.callbacks.append(lambda *_: collected.append(importing()))\n"
        f"sys.argv = ['pawsort', *{words!r}]\n"
        "try: entry.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'openvino', 'pandas', 'numpy'} & sys.modules.keys()\n"
        "if any(collected): heavy.add('what the garbage collector walked through')\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def names_only(path: Path, **changes: object) -> Path:
    """Write a bundle that names what it sees and files nothing."""
    from models.bundle.weights import pack
    from models.bundle.write_bundle import compose, write
    from tests.models.conftest import manifest

    packed = pack({"head/bias": np.zeros(3)})
    return write(compose(path, manifest(folders={}, **changes), packed), packed).path


def test_model_without_folders_files_nothing(run: Run, tmp_path: Path):
    names_only(tmp_path / "names")
    (tmp_path / "config.yaml").write_text("model: ./names\n", encoding="utf-8")
    done = run("run", "--once")
    assert done.code == 3 and "has no folders" in done.err and "classify --model" in done.err


def test_model_without_folders_gives_the_five_likeliest_names(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from pipeline.classifier import classify_files

    scores = {f"thing {i}": i / 45 for i in range(10)}
    (tmp_path / "a.jpg").write_text("a")
    monkeypatch.setattr(classify_files, "ProcessClassifier", lambda *_: SimpleNamespace(stop=lambda: None))
    monkeypatch.setattr(
        classify_files,
        "classify_files",
        lambda *_: [ClassificationResult(0, None, scores), ClassificationResult(1, None, None, "empty")],
    )
    (tmp_path / "b.jpg").write_text("b")
    path = names_only(tmp_path / "names")
    done = run("classify", "--model", str(path), "a.jpg", "b.jpg", "--json")
    named, failed = json.loads(done.out)
    assert named["prediction"] == "thing 9" and named["outcome"] is None and done.code == 1
    assert list(named["scores"]) == ["thing 9", "thing 8", "thing 7", "thing 6", "thing 5"]
    assert failed["outcome"] == "failed" and named.keys() == failed.keys()
    assert "thing 9 20%, thing 8 18%" in run("classify", "--model", str(path), "a.jpg", "b.jpg").out


def test_weights_are_for_imagenet_alone(run: Run):
    done = run("classify", "--model", "cats_dogs", "--weights", "x.h5", ".")
    assert done.code == 2 and "only imagenet" in done.err


@pytest.fixture
def filed(tmp_path: Path) -> Path:
    """A photo in its folder, and no database that knows of it."""
    photo = tmp_path / "sorted/cats/Anna at the beach.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_bytes(b"a photo")
    for name in ("inbox", "state/spool", "reports"):
        (tmp_path / name).mkdir(parents=True)
    return photo


@pytest.mark.fault(88)
def test_classify_needs_no_settings_file_but_one_that_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yaml").unlink()
    (tmp_path / "photos").mkdir()
    done = run("classify", "photos")
    assert done.code == 0 and "no photos found" in done.err
    assert run("classify", "photos", "--config", "config.yaml").code == 2
    assert run("query").code == 2  # the settings name the database


def test_a_model_is_found_by_its_name_beside_the_settings(run: Run, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "models" / "mine").mkdir(parents=True)
    (home / "config.yaml").touch()
    (tmp_path / "photos").mkdir()
    done = run("classify", "photos", "--model", "mine", "--config", "home/config.yaml")
    assert done.code == 3 and "home/models/mine: no bundle here" in done.err


def test_doctor_lists_what_a_lost_database_knew_and_repair_records_it(run: Run, filed: Path) -> None:
    done = run("doctor")
    assert (done.code, done.out.startswith(f"unrecorded: {filed}")) == (1, True), done
    assert "there is no database" in done.err
    assert not (filed.parents[2] / "state/pawsort.db").exists(), "looking makes nothing"

    done = run("doctor", "--repair", "--json")
    assert done.code == 0, done
    [repair] = json.loads(done.out)
    assert (repair["kind"], repair["repaired"], repair["path"]) == ("unrecorded", True, str(filed))
    assert run("doctor", "--hashes").code == 0
    [row] = json.loads(run("query", "--json").out)
    assert (row["outcome"], row["reason"], row["prediction"], row["state"]) == (
        "cats",
        "imported",
        None,
        "filed",
    )
    assert filed.read_bytes() == b"a photo"


def test_repair_says_what_it_leaves_and_exits_with_1(run: Run, filed: Path) -> None:
    (filed.parent / "empty.jpg").touch()
    done = run("doctor", "--repair")
    assert done.code == 1
    assert "left: it is empty" in done.out
    assert "repaired: recorded in its place" in done.out


def test_repair_is_refused_while_a_worker_is_at_work(run: Run, filed: Path) -> None:
    from pipeline.settings import config
    from pipeline.worker.locks import worker_lock

    with worker_lock(config.load(Path("config.yaml"))):
        assert run("doctor").code == 1
        done = run("doctor", "--repair")
    assert (done.code, "another worker" in done.err) == (5, True)
    assert not (filed.parents[2] / "state/pawsort.db").exists()


def test_a_bundle_is_written_once(run: Run, filed: Path) -> None:
    assert run("doctor", "--names").code == 2
    done = run("doctor", "--bundle", "help.zip")
    assert (done.code, "wrote help.zip" in done.err) == (1, True), done
    with zipfile.ZipFile("help.zip") as archive:
        assert all(b"Anna" not in archive.read(name) for name in archive.namelist())
    done = run("doctor", "--bundle", "help.zip")
    assert (done.code, "exists already" in done.err) == (2, True)


@pytest.mark.parametrize("log", ["missing.log", "."])
def test_a_log_that_cannot_be_read_is_an_error_of_the_command_line(run: Run, filed: Path, log: str) -> None:
    done = run("doctor", "--bundle", "help.zip", "--log", log)
    assert (done.code, f"pawsort: {log}: " in done.err) == (2, True), done
    assert not Path("help.zip").exists()


def test_the_name_of_a_bundle_reaches_no_terminal_unescaped(run: Run, filed: Path) -> None:
    done = run("doctor", "--bundle", "\x1b[2J\u202e.zip")
    assert r"wrote \x1b[2J\u202e.zip" in done.err


@pytest.mark.parametrize(
    "words", [["classify", "\x1b[2J\r\x9b.jpg"], ["\x1b]0;x"], ["run", "--config", "\x1b[2J"]]
)
def test_an_error_prints_no_control_character(run: Run, words: list[str]) -> None:
    done = run(*words)
    assert done.code == 2
    assert r"\x1b" in done.err
    assert done.err.rstrip("\n").isprintable()


def test_a_library_that_cannot_be_loaded_is_an_error_with_what_to_do(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> None:
        raise ImportError("libjpeg.so.62: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(app, "load", fail)
    done = run("status")
    assert done.code == 1 and len(done.err.splitlines()) == 1
    assert "libjpeg.so.62" in done.err and "apt-file" in done.err


@pytest.mark.parametrize(
    ("terminal", "words"), [(True, ["run"]), (True, ["run", "--once"]), (False, ["run"])]
)
def test_the_first_steps_are_shown_on_a_terminal_to_whom_starts_a_worker(
    run: Run, monkeypatch: pytest.MonkeyPatch, terminal: bool, words: list[str]
) -> None:
    monkeypatch.setattr(service, "run", lambda *_, **__: 0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    done = run(*words)
    assert ("drop photos into" in done.err) == (terminal and "--once" not in words)


def test_a_missing_driver_is_named_with_the_command_that_installs_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    Path("config.yaml").write_text("database: postgresql://user@host/name\n", encoding="utf-8")
    done = run("config", "check")
    assert done.code == 4 and "The driver for postgresql is not installed" in done.err
    assert f"Run `{install_command('psycopg[binary]')}`." in done.err
