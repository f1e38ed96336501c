"""Commands in a folder with a config.yaml."""

from tests.pipeline.cli.conftest import run  # noqa: F401 - a fixture
