"""Files that options name: devices, pipes, folders and huge files are refused at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models import regular_files
from models.data import dataset
from models.errors import ArchitectureError, DatasetError, RecipeError
from models.networks import imagenet_weights, recipes
from models.training import sweep
from pipeline.errors import SettingsError
from pipeline.settings import config

READERS: dict[str, tuple[Callable[[Path], Any], type[Exception], str]] = {
    "settings": (config.load, SettingsError, ".yaml"),
    "recipe": (recipes.read, RecipeError, ".yaml"),
    "sweep": (sweep.read_plan, DatasetError, ".yaml"),
    "excluded photos": (dataset.read_excluded, DatasetError, ".csv"),
    "weights": (lambda path: imagenet_weights.read("efficientnet_lite0", path), ArchitectureError, ".npz"),
    "MobileNet": (lambda path: imagenet_weights.read("mobilenet_v2", path), ArchitectureError, ".weights.h5"),
}


@pytest.fixture(params=["device", "pipe", "folder", "huge"])
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Path]:
    """Make something with an ending that is no file to read."""

    def made(ending: str) -> Path:
        path = tmp_path / f"odd{ending}"
        if request.param == "device":
            path.symlink_to("/dev/zero")
        elif request.param == "pipe":
            os.mkfifo(path)
        elif request.param == "folder":
            path.mkdir()
        else:
            with path.open("wb") as file:
                file.truncate(10**10)
        return path

    return made


def test_what_is_no_regular_file_of_some_size_is_refused(odd: Callable[[str], Path]) -> None:
    path = odd("")
    with pytest.raises(OSError, match=r"not a regular file|directory|larger than 1,000,000 bytes") as caught:
        regular_files.read(path, 10**6)
    assert caught.value.filename == str(path)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", READERS)
def test_each_reader_of_a_named_file_refuses_it(what: str, odd: Callable[[str], Path]) -> None:
    read, error, ending = READERS[what]
    path = odd(ending)
    with pytest.raises(error, match=str(path)):
        read(path)


@pytest.mark.parametrize("name", ["/dev/stdin", "/proc/self/fd/0", "link"])
def test_a_pipe_is_read_from_standard_input(name: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/stdin")
    program = f"import sys; from models import regular_files; print(regular_files.read_text({name!r}))"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    found = subprocess.run(
        [sys.executable, "-c", program], input="epochs: 3", capture_output=True, text=True, env=environment,
        cwd=tmp_path, check=False,
    )  # fmt: skip
    assert found.stdout.strip() == "epochs: 3", found.stderr


def test_a_pipe_that_a_shell_has_passed_is_read_to_its_end(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer, "wb") as file:
        file.write(b"epochs: 3\n")
        file.close()
        assert recipes.read(Path(f"/dev/fd/{reader}")) == {"epochs": 3}
