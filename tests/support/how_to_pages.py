"""The workflows of docs/how-to, taken from the pages and run from the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

PAGES = Path(__file__).resolve().parents[2] / "docs" / "how-to"


def workflow_of(name: str) -> Path:
    """The workflow of a page, as a file in the current directory."""
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    found = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    assert f"rivergrad run {name}.yaml" in page
    path = Path(f"{name}.yaml")
    path.write_text(found.group(1), encoding="utf-8")
    return path


def run_page(
    name: str, changes: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run the workflow of a page to its end, over days in place of years."""
    from rivergrad.cli import main

    words = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    monkeypatch.setattr("sys.argv", ["rivergrad", "run", str(workflow_of(name)), *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None), capsys.readouterr().err
    assert json.loads(Path(f"runs/{name}/run.json").read_text(encoding="utf-8"))["status"] == "done"
