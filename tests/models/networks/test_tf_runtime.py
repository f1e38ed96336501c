from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.networks import tf_runtime


def test_settings_of_keras_in_the_users_home_change_no_network(tmp_path: Path) -> None:
    (tmp_path / "keras.json").write_text(
        '{"floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first", "backend": "torch"}'
    )
    code = (
        "from models.networks.tf_runtime import keras as k; c = k.config\n"
        "print(c.floatx(), c.epsilon(), c.image_data_format(), c.backend())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[3], env={**os.environ, "KERAS_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.split() == ["float32", "1e-07", "channels_last", "tensorflow"]


def test_only_keras_is_imported_on_first_use() -> None:
    assert tf_runtime.keras is sys.modules["keras"]
    with pytest.raises(AttributeError, match="no attribute 'torch'"):
        _ = tf_runtime.torch
