"""Status: how far a run is, from the files it leaves."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from rivergrad.errors import InputError
from rivergrad.run.status import _read_history, read_status


def make_run(folder: Path, history: str = "", config: str = "estimate:\n  steps: 100\n", **info: Any) -> Path:
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"name": "demo", "status": "running", **info}))
    if history:
        (folder / "history.csv").write_text("step,loss,validation_nse,seconds\n" + history)
    if config:
        (folder / "config.yaml").write_text(config)
    return folder


def test_running(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r", "10,0.5,0.61,20\n20,0.4,0.62,40\n30,0.3,,60\n")
    hour_ago = time.time() - 3600
    for path in run.iterdir():
        os.utime(path, (hour_ago, hour_ago))
    status = read_status(run)
    assert (status.step, status.steps, status.loss, status.validation) == (30, 100, 0.3, 0.62)
    assert status.seconds_per_step == 2.0
    assert status.seconds_left == 140.0
    lines = status.lines()
    assert lines[0] == "demo: running, step 30 of 100"
    assert lines[1] == "loss 0.3, validation NSE 0.62"
    assert lines[2] == "2 s a step, at most 2m 20s left, last sign of life 1h 00m ago"


def test_resumed_run_is_timed_from_where_it_resumed(tmp_path: Path) -> None:
    status = read_status(make_run(tmp_path / "r", "10,1,,500\n20,1,,1000\n20,1,,5\n30,1,,15\n40,1,,25\n"))
    assert status.seconds_per_step == 1.0


@pytest.mark.parametrize("half", ["20,0.4\n", "20,0.4,0.6,4", "20,0.4,0.6,", "2", "20,x,,\n"])
def test_half_written_row_is_left_out(tmp_path: Path, half: str) -> None:
    assert read_status(make_run(tmp_path / "r", f"10,0.5,0.6,20\n{half}")).step == 10


def test_in_the_middle_of_folds(tmp_path: Path) -> None:
    """Step, pace and scores are those of the fold at work, until the estimate from all gauges begins."""
    run = make_run(tmp_path / "r", config="estimate:\n  steps: 100\ngauges:\n  folds: 12\n")
    for fold in ("2", "9", "10"):
        (run / "folds").mkdir(exist_ok=True)
        make_run(run / "folds" / fold, f"{fold},0.5,0.61,20\n", name=f"demo-fold-{fold}", status="done")
    assert read_status(run).lines()[0] == "demo, fold 10 of 12: running, step 10 of 100"
    (run / "history.csv").write_text("step,loss,validation_nse,seconds\n1,0.5,,2\n")
    assert read_status(run).lines()[0] == "demo: running, step 1 of 100"


def test_finished(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r", "10,0.5,0.6,20\n20,0.4,0.7,40\n", status="finished")
    status = read_status(run)
    assert status.seconds_left is None
    assert status.lines()[-1] == "2 s a step"


def test_a_finished_run_tells_its_verdict(tmp_path: Path) -> None:
    said = "On held-out gauges in held-out time, the estimate is behind best uniform by NSE: …"
    run = make_run(tmp_path / "r", "10,0.5,0.6,20\n", status="done", summary={"verdict": said})
    assert read_status(run).lines()[-1] == said
    (run / "report.html").write_text("<html>")
    assert read_status(run).lines()[-2:] == [said, f"report: {run / 'report.html'}"]
    make_run(tmp_path / "failed", "10,0.5,0.6,20\n", status="failed", summary={"verdict": said})
    assert read_status(tmp_path / "failed").verdict is None


def test_just_started(tmp_path: Path) -> None:
    status = read_status(make_run(tmp_path / "r", config=""))
    assert (status.step, status.steps, status.loss, status.seconds_per_step) == (0, None, None, None)
    assert status.lines()[0] == "demo: running, step 0"


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nix: no such run directory"):
        read_status(tmp_path / "nix")
    with pytest.raises(InputError, match=r"not a run directory; expected a folder that holds run\.json"):
        read_status(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json: not JSON"):
        read_status(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(InputError, match=r"run\.json: found a list; expected an object"):
        read_status(tmp_path)


def test_a_history_of_other_bytes_is_told(tmp_path: Path) -> None:
    """As for any text that a run directory holds: a line with the file, not a decoder's."""
    (tmp_path / "run.json").write_text('{"name": "a", "status": "running"}')
    (tmp_path / "history.csv").write_bytes(bytes(range(256)))
    with pytest.raises(
        InputError, match=r"history\.csv: holds bytes that are no text in UTF-8, first at position 128"
    ):
        _read_history(tmp_path / "history.csv")
