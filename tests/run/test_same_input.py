"""A run that was killed goes on with the input that it was begun with: to the same result, or not at all."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from small_river import River, call, contents, the_line

from rivergrad.io import digest
from rivergrad.run import known

KILL = """
import os, signal, sys
from rivergrad.rundir.checkpoint import Checkpoint
from rivergrad.cli import app
write, last = Checkpoint.write, int(sys.argv[1])
def write_and_die(self, *rest):
    write(self, *rest)
    if self.step >= last:
        os.kill(os.getpid(), signal.SIGKILL)
Checkpoint.write = write_and_die
app(["estimate", "w.yaml"])
"""


def killed_at(river: River, step: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILL, str(step)], cwd=river.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> River:
    """A run that was killed after a step drawn at random, from a seed. Tests copy it."""
    river = River(tmp_path_factory.mktemp("stopped") / "river").write()
    killed_at(river, 2 * random.Random(7).randint(1, 5))
    return river


@pytest.fixture
def river(stopped: River, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> River:
    copy = stopped.copied(tmp_path / "moved")
    monkeypatch.chdir(copy.folder)
    monkeypatch.setattr("rivergrad.run.workflow.git_hash", lambda: "0" * 40)
    return copy


def result(run: Path) -> dict[str, np.ndarray]:
    with xr.open_zarr(run / "parameters.zarr", consolidated=False) as found:
        order = np.argsort(found["reach_id"].values)
        return {name: found[name].values[order] for name in ("reach_id", "celerity", "k", "x")}


def undisturbed(river: River, folder: Path) -> dict[str, np.ndarray]:
    """What a run gives that began with the input as it is now."""
    whole = river.copied(folder)
    shutil.rmtree(whole.run_dir)
    before = Path.cwd()
    os.chdir(folder)
    try:
        code, said = call("estimate", "w.yaml")
        assert code == 0, said
    finally:
        os.chdir(before)
    return result(whole.run_dir)


def netcdf(path: Path, change: Callable[[xr.Dataset], xr.Dataset]) -> None:
    with xr.open_dataset(path) as data:
        new = change(data.load())
    new.to_netcdf(path)


def table(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(pd.read_csv(path)).to_csv(path, index=False)


def same_size_and_time(path: Path) -> None:
    """Another byte in the middle of the values, and nothing that a listing would show."""
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


CHANGES: dict[str, tuple[Callable[[River], Any], str]] = {
    "runoff x 2": (lambda r: netcdf(r.folder / "r.nc", lambda d: d * 2), "runoff.path: r.nc"),
    "runoff, a byte": (lambda r: same_size_and_time(r.folder / "r.nc"), "runoff.path: r.nc"),
    "observations x 2": (lambda r: netcdf(r.folder / "o.nc", lambda d: d * 2), "observations.path: o.nc"),
    "a gauge less": (
        lambda r: netcdf(r.folder / "o.nc", lambda d: d.isel(gauge=[0, 2])),
        "observations.path: o.nc is not what the run began with (gauges 2, was 3",
    ),
    "gauges in another order": (
        lambda r: netcdf(r.folder / "o.nc", lambda d: d.isel(gauge=[2, 0, 1])),
        "observations.path: o.nc",
    ),
    "weights": (
        lambda r: netcdf(r.folder / "o.nc", lambda d: d.assign(weight=("gauge", [1.0, 5.0, 1.0]))),
        "observations.path: o.nc is not what the run began with (weight is new)",
    ),
    "errors of the observations": (
        lambda r: netcdf(r.folder / "o.nc", lambda d: d.assign(discharge_error=d["discharge"] * 0.1)),
        "observations.path: o.nc is not what the run began with (error is new)",
    ),
    "areas": (
        lambda r: table(r.folder / "n.csv", lambda t: t.assign(area_m2=1e8)),
        "network.path: n.csv is not what the run began with (area_m2 is new)",
    ),
    "another day": (
        lambda r: netcdf(
            r.folder / "o.nc", lambda d: d.assign_coords(time=d["time"] + np.timedelta64(1, "D"))
        ),
        "observations.path: o.nc",
    ),
    "lengths x 2": (
        lambda r: table(r.folder / "n.csv", lambda t: t.assign(length_m=t["length_m"] * 2)),
        "network.path: n.csv is not what the run began with (length differs)",
    ),
    "slopes x 2": (
        lambda r: table(r.folder / "n.csv", lambda t: t.assign(slope=t["slope"] * 2)),
        "network.path: n.csv is not what the run began with (slope differs)",
    ),
    "a reach less": (
        lambda r: table(r.folder / "n.csv", lambda t: t[~t["reach_id"].isin(t["reach_id"][-1:])]),
        "network.path: n.csv is not what the run began with (reaches 29, was 30",
    ),
    "another seed": (lambda r: r.workflow(seed=2), "seed 1 there, 2 here"),
    "other bounds": (
        lambda r: r.workflow(parameters={"celerity": {"bounds": [0.1, 4.0]}}),
        "parameters.celerity.bounds",
    ),
    "another file": (
        lambda r: (
            (r.folder / "r2.nc").write_bytes((r.folder / "r.nc").read_bytes()),
            netcdf(r.folder / "r2.nc", lambda d: d + 1),
            r.workflow(runoff={"path": "r2.nc"}),
        ),
        "runoff.path: r2.nc",
    ),
}


NO_CHANGES: dict[str, Callable[[River], Any]] = {
    "observations written again": lambda r: netcdf(r.folder / "o.nc", lambda d: d),
    "a network of another format": lambda r: (
        pd.read_csv(r.folder / "n.csv").to_parquet(r.folder / "n.parquet"),
        r.workflow(network={"path": "n.parquet"}),
    ),
    "an attribute that nobody uses": lambda r: table(r.folder / "n.csv", lambda t: t.assign(mine=1.5)),
    "a profile": lambda r: (
        (r.folder / "p.yaml").write_text("patience: 5min\nrestarts: 1\n"),
        r.workflow(compute={"profile": "p.yaml"}),
    ),
    "how often it is saved": lambda r: r.workflow(estimate={"checkpoint_every": 5, "checkpoints": 4}),
    "settings of the report": lambda r: r.workflow(report={"hydrographs": 2, "discharge": True}),
}


@pytest.mark.parametrize("what", NO_CHANGES)
def test_what_the_result_does_not_depend_on_may_change(
    river: River, stopped: River, tmp_path: Path, what: str
) -> None:
    expected = undisturbed(stopped, tmp_path / "whole")
    NO_CHANGES[what](river)
    code, said = call("estimate", "w.yaml")
    assert code == 0, said
    assert "going on from the checkpoint of step" in (river.run_dir / "log.txt").read_text()
    for name, values in result(river.run_dir).items():
        np.testing.assert_array_equal(values, expected[name])


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_told(river: River, what: str) -> None:
    change, words = CHANGES[what]
    change(river)
    before = contents(river.run_dir / "checkpoints")
    code, said = call("estimate", "w.yaml")
    assert code == 2
    assert words in the_line(said)
    assert "--fresh" in the_line(said)
    assert contents(river.run_dir / "checkpoints") == before


@pytest.mark.parametrize("step", [2, 10])
def test_a_change_is_told_after_the_first_checkpoint_and_before_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    river = River(tmp_path / "river").write()
    killed_at(river, step)
    monkeypatch.chdir(river.folder)
    for what in ("runoff x 2", "lengths x 2"):
        changed = river.copied(tmp_path / what.replace(" ", "_"))
        CHANGES[what][0](changed)
        monkeypatch.chdir(changed.folder)
        code, said = call("estimate", "w.yaml")
        assert code == 2
        assert CHANGES[what][1] in the_line(said)


def test_changed_forcings_are_told_and_the_same_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runoff is learned from them: twice the rain is another run."""
    river = River(tmp_path / "river").write()
    learned = {"runoff": {"kind": "learned", "path": None, "forcings": "f.nc", "model": "hbv"}}
    learned["estimate"] = {"stages": [{"name": "joint", "train": ["runoff", "routing"], "steps": 12}]}
    with xr.open_dataset(river.folder / "r.nc") as data:
        rain = data["runoff"].load()
    names = {
        "precipitation": ("mm/day", 1.0, 0.0),
        "temperature": ("degC", 0.0, 12.0),
        "potential_evapotranspiration": ("mm/day", 0.0, 2.0),
    }
    forcings = {
        name: (rain * scale + offset).assign_attrs(units=unit)
        for name, (unit, scale, offset) in names.items()
    }
    xr.Dataset(forcings).to_netcdf(river.folder / "f.nc")
    table(river.folder / "n.csv", lambda t: t.assign(area_m2=1e8))
    path = river.workflow(**learned)
    path.write_text(path.read_text().replace("  path: null\n", ""))
    killed_at(river, 4)
    again = river.copied(tmp_path / "again")
    netcdf(river.folder / "f.nc", lambda d: d.assign(precipitation=2 * d["precipitation"]))
    monkeypatch.chdir(river.folder)
    code, said = call("estimate", "w.yaml")
    assert code == 2
    assert "runoff.forcings: f.nc" in the_line(said)
    monkeypatch.chdir(again.folder)
    code, said = call("estimate", "w.yaml")
    assert code == 0, said
    assert "going on from the checkpoint of step" in (again.run_dir / "log.txt").read_text()


def test_fresh_is_the_way_out(river: River, tmp_path: Path) -> None:
    CHANGES["runoff x 2"][0](river)
    assert call("estimate", "w.yaml")[0] == 2
    code, said = call("estimate", "w.yaml", "--fresh")
    assert code == 0, said
    expected = undisturbed(river, tmp_path / "whole")
    for name, values in result(river.run_dir).items():
        np.testing.assert_array_equal(values, expected[name])


def test_rows_in_another_order_are_put_back(river: River, stopped: River, tmp_path: Path) -> None:
    expected = undisturbed(stopped, tmp_path / "whole")
    table(river.folder / "n.csv", lambda t: t.sample(frac=1, random_state=1))
    code, said = call("estimate", "w.yaml")
    assert code == 0, said
    for name, values in result(river.run_dir).items():
        np.testing.assert_array_equal(values, expected[name])
    (
        river.run_dir / "network.zarr" / "reach_id" / "c" / "0"
    ).unlink()  # where that is not to be had, it is refused
    code, said = call("estimate", "w.yaml")
    assert code == 2
    the_line(said)


def test_moved_renamed_and_under_another_path(river: River, stopped: River, tmp_path: Path) -> None:
    """Neither where things are, nor what they are called, is part of the result."""
    expected = undisturbed(stopped, tmp_path / "whole")
    shutil.move(river.folder / "run", river.folder / "elsewhere")
    shutil.move(river.folder / "r.nc", river.folder / "runoff.nc")
    path = river.workflow(name="other", output=str(river.folder / "elsewhere"), runoff={"path": "runoff.nc"})
    code, said = call("estimate", path)
    assert code == 0, said
    assert "going on from the checkpoint of step" in (river.folder / "elsewhere/log.txt").read_text()
    assert not (river.folder / "run").exists()
    for name, values in result(river.folder / "elsewhere").items():
        np.testing.assert_array_equal(values, expected[name])


def test_a_finished_run_and_evaluate_look_at_the_input_too(river: River) -> None:
    assert call("estimate", "w.yaml")[0] == 0
    info = (river.run_dir / "run.json").read_bytes()
    scores = (river.run_dir / "metrics.csv").read_bytes()
    CHANGES["observations x 2"][0](river)
    for words in (("estimate", "w.yaml"), ("evaluate", "run")):
        code, said = call(*words)
        assert code == 2
        assert "observations.path: o.nc is not what the run began with (discharge differs)" in the_line(said)
        assert (river.run_dir / "run.json").read_bytes() == info
        assert (river.run_dir / "metrics.csv").read_bytes() == scores


def test_every_byte_of_a_large_input_counts(river: River, monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples miss most single bytes of a large file; the sum of all is taken once for each stamp of the file."""
    monkeypatch.setattr(digest, "WHOLE", 1000)
    monkeypatch.setattr(digest, "BLOCKS", 2)
    monkeypatch.setattr(digest, "BLOCK", 16)
    taken = []
    monkeypatch.setattr(known, "content_sum", lambda path: taken.append(path) or digest.content_sum(path))
    known._content_sum.cache_clear()
    sampled = digest.digest_of(river.folder / "r.nc")
    shutil.rmtree(river.run_dir)
    for _ in range(2):  # begins; is looked at again
        assert call("estimate", "w.yaml")[0] == 0
    assert len(taken) == 1
    (river.folder / "r.nc").touch()
    assert call("estimate", "w.yaml")[0] == 0
    assert len(taken) == 2
    same_size_and_time(river.folder / "r.nc")
    assert digest.digest_of(river.folder / "r.nc") == sampled
    code, said = call("estimate", "w.yaml")
    assert code == 2
    assert "runoff.path: r.nc is not what the run began with (every byte differs)" in the_line(said)


def test_another_version_goes_on_and_says_so(river: River, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    real = importlib.metadata.version

    def version(name: str) -> str:
        return "9.9" if name == "rivergrad" else real(name)

    for module in ("rundir.record", "run.known"):
        monkeypatch.setattr(f"rivergrad.{module}.version", version)
    code, said = call("estimate", "w.yaml")
    assert code == 0, said
    info = json.loads((river.run_dir / "run.json").read_text())
    assert info["begun_by"] == real("rivergrad")
    assert info["versions"]["rivergrad"] == "9.9"
    assert (
        f"begun by rivergrad {real('rivergrad')}, goes on by 9.9" in (river.run_dir / "log.txt").read_text()
    )


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "cut": lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]),
    "empty": lambda p: p.write_bytes(b""),
    "garbage": lambda p: p.write_bytes(bytes(range(256)) * 3),
    "removed": lambda p: p.unlink(),
}
FILES = (
    *("config.yaml", "run.json", "baselines.json", "inputs.json", "history.csv", "written.jsonl", "log.txt"),
    *(
        "network.zarr/zarr.json",
        "network.zarr/length/c/0",
        "partition.zarr/order/c/0",
        "partition.zarr/zarr.json",
    ),
    *("gauges.csv", "screening.csv"),
)


@pytest.mark.parametrize("name", FILES)
def test_damage_is_recovered_from_or_told(river: River, stopped: River, tmp_path: Path, name: str) -> None:
    expected = undisturbed(stopped, tmp_path / "whole")
    for what, damage in DAMAGES.items():
        copy = river.copied(tmp_path / what)
        damage(copy.run_dir / name)
        os.chdir(copy.folder)
        code, said = call("estimate", "w.yaml")
        if code == 0:
            for key, values in result(copy.run_dir).items():
                np.testing.assert_array_equal(values, expected[key], err_msg=what)
        else:
            assert code == 2, (what, said)
            assert name.split("/")[0] in the_line(said), what
    os.chdir(river.folder)


def test_a_configuration_that_was_altered_is_told_by_the_checkpoint(river: River) -> None:
    """Both were changed, the workflow and what the run wrote of it: the checkpoint knows better."""
    for path in (river.folder / "w.yaml", river.run_dir / "config.yaml"):
        text = path.read_text()
        assert "seed: 1" in text
        path.write_text(text.replace("seed: 1", "seed: 2"))
    code, said = call("estimate", "w.yaml")
    assert code == 2
    assert "seed 1 there, 2 here" in the_line(said)


def test_without_digests_the_network_tells(river: River) -> None:
    """A run by a version that kept none goes on, unless the network that it wrote is another."""
    from rivergrad.rundir.checkpoint import newest_of

    newest = newest_of(river.run_dir)
    assert newest is not None
    shutil.rmtree(river.run_dir / "checkpoints")
    newest.of = {}
    newest.write(river.run_dir / "checkpoints")
    (river.run_dir / "inputs.json").unlink()
    (river.run_dir / "written.jsonl").unlink()
    info = json.loads((river.run_dir / "run.json").read_text())
    del info["record"]
    (river.run_dir / "run.json").write_text(json.dumps(info))
    table(river.folder / "n.csv", lambda t: t.assign(length_m=t["length_m"] * 2))
    code, said = call("estimate", "w.yaml")
    assert code == 2
    assert "the network is not what the run began with (length differs)" in the_line(said)
    table(river.folder / "n.csv", lambda t: t.assign(length_m=t["length_m"] / 2))
    code, said = call("estimate", "w.yaml")
    assert code == 0, said
    assert "it is taken to be the same" in (river.run_dir / "log.txt").read_text()


STATE = ("config.yaml", "run.json", "inputs.json", "baselines.json", "log.txt", "written.jsonl", ".lock")


@pytest.mark.parametrize("name", [*STATE, "checkpoints/step-000002.npz"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(river: River, name: str) -> None:
    path = river.run_dir / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    for words in (
        ("estimate", "w.yaml"),
        ("estimate", "w.yaml", "--fresh"),
        ("status", "run"),
        ("report", "run"),
    ):
        code, said = call(*words)  # which raises what is no exit
        assert code == 2 or words[0] in ("status", "report"), (words, said)
    assert path.is_fifo()


LOSS = """
def mine(pairs):
    '''Mean absolute error over the deviation of the record.'''
    return {} * pairs.mean((pairs.simulated - pairs.observed).abs()) / pairs.statistics.variance.sqrt()
"""


def test_the_source_of_a_part_of_ones_own_is_input(river: River, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a loss computes is in its module: a run does not go on with another one under the same name."""
    (river.folder / "part_of_mine.py").write_text(LOSS.format(1))
    shutil.rmtree(river.run_dir)
    river.workflow(estimate={"loss": "part_of_mine:mine"})
    monkeypatch.syspath_prepend(str(river.folder))
    code, said = call("estimate", "w.yaml")
    assert code == 0, said
    assert call("estimate", "w.yaml")[0] == 0
    (river.folder / "part_of_mine.py").write_text(LOSS.format(2))
    code, said = call("estimate", "w.yaml")
    assert code == 2
    assert "part_of_mine.py is not what the run began with (source differs)" in the_line(said)
