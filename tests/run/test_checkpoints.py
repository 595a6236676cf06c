"""Checkpoints: whole or passed over, whatever happened to the file; and a run resumed on another partition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from rivercut.store import read_partition
from rivergrad.config.load import load_workflow
from rivergrad.errors import InputError
from rivergrad.run.workflow import run_workflow
from rivergrad.rundir.checkpoint import Checkpoint, read_newest


def checkpoint(step: int) -> Checkpoint:
    rng = np.random.default_rng(step)
    return Checkpoint(
        step=step,
        shared=rng.standard_normal(3),
        shared_best=rng.standard_normal(3),
        optimiser={"mean": rng.standard_normal(3), "steps": np.array([step, 1.0])},
        pieces={name: rng.standard_normal((2, 20)) for name in ("free", "best", "adam_mean", "adam_square")},
        numbers={"score": 0.5, "best_step": 4.0, "stale": 1.0, "stopped": 0.0, "restarts": 0.0},
        history=[{"step": 0, "loss": 1.0, "validation_nse": 0.25, "seconds": 0.0}],
    )


def same(found: Checkpoint | None, expected: Checkpoint) -> None:
    assert found is not None
    assert (found.step, found.numbers, found.history) == (expected.step, expected.numbers, expected.history)
    pairs = [(found.shared, expected.shared), (found.shared_best, expected.shared_best)]
    for group in ("optimiser", "pieces"):
        mine, theirs = getattr(found, group), getattr(expected, group)
        assert set(mine) == set(theirs)
        pairs += [(mine[name], theirs[name]) for name in theirs]
    for a, b in pairs:
        np.testing.assert_array_equal(a, b)


def test_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (4, 8, 12, 16):
        checkpoint(step).write(tmp_path, keep=3)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"step-{s:06d}.npz" for s in (8, 12, 16)]
    same(read_newest(tmp_path), checkpoint(16))
    checkpoint(9).write(tmp_path, keep=3)  # gone on from 8: what is newer was damaged
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000008.npz", "step-000009.npz"]


def test_any_damage_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoint(4).write(tmp_path)
    newest = checkpoint(8).write(tmp_path)
    whole = newest.read_bytes()
    rng = np.random.default_rng(0)
    spoilt = {"empty": b"", "one byte": whole[:1], "no npz": b"x" * 4000, "twice": whole + whole}
    spoilt |= {f"cut at {n}": whole[:n] for n in rng.integers(1, len(whole), 20)}
    for at in (0, 4, len(whole) - 1, *rng.integers(0, len(whole), 200)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << int(rng.integers(8))
        spoilt[f"a bit of byte {at}"] = bytes(flipped)
    for what, content in spoilt.items():
        newest.write_bytes(content)
        caplog.clear()
        same(read_newest(tmp_path), checkpoint(4))
        assert "step-000008.npz is damaged" in caplog.text, what
    newest.unlink()
    newest.mkdir()  # not even a file
    same(read_newest(tmp_path), checkpoint(4))


def test_no_pickle_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealed as it should be, but with an array of objects."""
    bad = checkpoint(8)
    bad.pieces["free"] = np.array([[print]], dtype=object)
    bad.write(tmp_path)
    checkpoint(4).write(tmp_path / "other")
    (tmp_path / "other" / "step-000004.npz").rename(tmp_path / "step-000004.npz")
    same(read_newest(tmp_path), checkpoint(4))


def test_of_another_network(tmp_path: Path) -> None:
    """The one before is taken if it fits; if there is none that does, nothing is overwritten."""
    shapes = {"shared": lambda found: None if found.step == 4 else "shared of shape (3,); expected (4,)"}
    checkpoint(4).write(tmp_path)
    checkpoint(8).write(tmp_path)
    same(read_newest(tmp_path, shapes["shared"]), checkpoint(4))
    with pytest.raises(InputError, match=r"step-000008.npz: no: the input is not what it was.*--fresh"):
        read_newest(tmp_path, lambda found: "no")


class Killed(Exception):
    """Stands for whatever ends a process."""


def test_resumed_on_another_partition(tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimate is the same, of a run resumed with more parts as of one that was not stopped."""
    exact: dict[str, Any] = {"compute": {"dtype": "float64"}, "estimate": {"windows_per_step": 3}}
    exact |= {"report": {"discharge": False}, "uncertainty": {"enabled": False}}
    whole = run_workflow(load_workflow(tiny(tmp_path / "w.yaml", tmp_path / "whole", **exact)), report=False)
    path = tmp_path / "stopped.yaml"
    write = Checkpoint.write

    def write_and_stop(self: Checkpoint, folder: Path, keep: int) -> Path:
        write(self, folder, keep)
        raise Killed

    monkeypatch.setattr(Checkpoint, "write", write_and_stop)
    with pytest.raises(Killed):
        run_workflow(load_workflow(tiny(path, tmp_path / "run", **exact)), report=False)
    monkeypatch.undo()
    tiny(path, tmp_path / "run", **exact, partition={"parts": 5, "block_reaches": 30})
    run = run_workflow(load_workflow(path), report=False)
    assert "going on from the checkpoint of step 4" in (run / "log.txt").read_text()
    assert "parts: 5" in (run / "config.yaml").read_text()
    assert read_partition(run / "partition.zarr").n_parts == 5
    found, expected = (xr.open_zarr(folder / "parameters.zarr") for folder in (run, whole))
    np.testing.assert_allclose(found["celerity"], expected["celerity"], rtol=1e-9)
    np.testing.assert_allclose(found["x"], expected["x"], rtol=1e-9)
    with pytest.raises(InputError, match="another configuration"):
        run_workflow(load_workflow(tiny(path, run, compute={"dtype": "float32"})), report=False)
