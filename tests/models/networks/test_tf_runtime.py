from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.networks import tf_runtime

IMPORTS = """
import gc, sys
imported = {"tensorflow": "tf", "keras": "keras"}
collected = set()

def note(*_):
    done = vars(sys.modules.get("models.networks.tf_runtime", sys))
    collected.update(name for name in imported if name in sys.modules and imported[name] not in done)

gc.callbacks.append(note)
from models.networks.tf_runtime import tf, keras
print(*sorted(collected), gc.isenabled(), gc.get_freeze_count() > 100_000)
config = keras.config
print(config.floatx(), config.epsilon(), config.image_data_format(), config.backend())
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What a process says that imports both, with settings of Keras in the user's home."""
    home = tmp_path_factory.mktemp("home")
    (home / "keras.json").write_text(
        '{"floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first", "backend": "torch"}'
    )
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[3], env={**os.environ, "KERAS_HOME": str(home)},
    )  # fmt: skip
    return done.stdout.splitlines()


def test_settings_of_keras_in_the_users_home_change_no_network(imported: list[str]) -> None:
    assert imported[1].split() == ["float32", "1e-07", "channels_last", "tensorflow"]


def test_the_garbage_collector_does_not_run_during_imports(imported: list[str]) -> None:
    assert imported[0].split() == ["True", "True"], "or names the packages that it ran in"


def test_only_keras_is_imported_on_first_use() -> None:
    assert tf_runtime.keras is sys.modules["keras"]
    with pytest.raises(AttributeError, match="no attribute 'torch'"):
        _ = tf_runtime.torch


MAPPED = """
import os, sys, tempfile, threading

sys.path.insert(0, sys.argv[1])
from models.networks.tf_runtime import tf

def doubled(number):
    return number * 2

def mapped():
    numbers = tf.data.Dataset.range(3).map(doubled).filter(lambda number: number > 0)
    print(*(int(number) for number in numbers))

mapped()
thread = threading.Thread(target=mapped)
thread.start()
thread.join()
print(os.listdir(tempfile.gettempdir()))
"""


def test_tensorflow_imports_no_python_from_the_folder_for_temporary_files(tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    (tmp_path / "mapped.py").write_text(MAPPED, encoding="utf-8")  # of a string it could read no source
    done = subprocess.run(
        [sys.executable, tmp_path / "mapped.py", Path(__file__).parents[3]],
        capture_output=True, text=True, check=True,
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
    )  # fmt: skip
    assert done.stdout.splitlines() == ["2 4", "2 4", "[]"]
    assert done.stderr == ""


def test_no_function_asks_to_be_rewritten() -> None:
    for folder in ("models", "pipeline"):
        for path in (Path(__file__).parents[3] / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert text.count("tf.function") == text.count("autograph=False"), path
