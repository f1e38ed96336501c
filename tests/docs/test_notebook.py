"""The notebook runs from its first cell to its last, on a small database."""

from __future__ import annotations

from pathlib import Path

import nbclient
import nbformat
import pytest

from tests.docs.pages import ROOT
from tests.docs.test_examples import site as site  # a fixture
from tests.models.conftest import make_photos


@pytest.fixture
def notebook() -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "docs" / "explore.ipynb", as_version=4)


def test_notebook_holds_no_outputs(notebook: nbformat.NotebookNode):
    assert not any(cell.get("outputs") for cell in notebook.cells)


@pytest.mark.filterwarnings("ignore")  # of Jupyter, about itself
def test_notebook_runs(
    notebook: nbformat.NotebookNode, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (site / "config.yaml").write_text("", encoding="utf-8")
    for name in ("cat", "dog", "neither/sea"):
        make_photos(tmp_path / "photos", name, 3)
    monkeypatch.setenv("EXPLORE_SITE", str(site))
    monkeypatch.setenv("EXPLORE_PHOTOS", str(tmp_path / "photos"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    nbclient.NotebookClient(notebook, timeout=100, kernel_name="python3").execute()
    shown = str([cell.outputs for cell in notebook.cells if cell.cell_type == "code"])
    assert " files" in shown and "low_confidence" in shown and "image/png" in shown
