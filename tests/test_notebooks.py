"""The notebooks of docs/: they run from a folder of their own, hold no outputs, and their links lead somewhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from examples import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
by_name = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


@by_name
@pytest.mark.filterwarnings("ignore:Proactor event loop:RuntimeWarning")
def test_a_notebook_runs(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    shutil.copy(notebook, tmp_path)
    found = nbformat.read(tmp_path / notebook.name, as_version=4)
    done = NotebookClient(found, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [one for cell in done.cells if cell.cell_type == "code" for one in cell.outputs]
    assert any("image/png" in one.get("data", {}) for one in outputs)  # each of them shows a picture


@by_name
def test_a_notebook_is_kept_without_outputs(notebook: Path) -> None:
    found = nbformat.read(notebook, as_version=4)
    code = [cell for cell in found.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


@by_name
def test_links_of_a_notebook_lead_somewhere(notebook: Path) -> None:
    found = nbformat.read(notebook, as_version=4)
    for cell in found.cells:
        for target in re.findall(r"\]\(([^)]+)\)", cell.source if cell.cell_type == "markdown" else ""):
            assert (notebook.parent / target).is_file(), target
