"""What a user can mend ends with exit code 2 and one or two lines that name it, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from typer.testing import CliRunner

from rivergrad.cli import app

IDS = [11, 12, 13, 14]
NETWORK = "reach_id,downstream_id,length_m,slope\n11,13,9000,0.01\n12,13,8000,0.02\n13,14,7000,0.01\n14,-1,6000,0.02\n"
DAYS = 60


def times(first: str = "2000-01-01", step: str = "D", count: int = DAYS) -> np.ndarray:
    return np.datetime64(first, "ns") + np.arange(count) * np.timedelta64(1, step)


def write_runoff(
    path: Path, units: str | None = "m3 s-1", ids: list[int] = IDS, first: str = "2000-01-01"
) -> None:
    values = np.random.default_rng(0).exponential(1.0, (DAYS, len(ids)))
    attributes = {} if units is None else {"units": units}
    xr.Dataset(
        {"runoff": (("time", "reach"), values, attributes), "reach_id": (("reach",), ids)},
        coords={"time": times(first)},
    ).to_netcdf(path)


def write_observations(
    path: Path,
    reach: int = 14,
    first: str = "2000-01-01",
    missing: bool = False,
    units: str | None = "m3 s-1",
) -> None:
    values = np.random.default_rng(1).exponential(4.0, (DAYS, 1))
    if missing:
        values[:] = np.nan
    attributes = {} if units is None else {"units": units}
    xr.Dataset(
        {"discharge": (("time", "gauge"), values, attributes), "reach_id": (("gauge",), [reach])},
        coords={"time": times(first), "gauge": np.array(["G1"], dtype=object)},
    ).to_netcdf(path)


@dataclass
class Case:
    """A folder with good input, for a test to spoil."""

    folder: Path

    def __post_init__(self) -> None:
        (self.folder / "n.csv").write_text(NETWORK)
        write_runoff(self.folder / "r.nc")
        write_observations(self.folder / "o.nc")
        self.workflow()

    def workflow(self, **changes: Any) -> None:
        data: dict[str, Any] = {
            "name": "bad",
            "output": str(self.folder / "run"),
            "network": {"path": str(self.folder / "n.csv")},
            "runoff": {"path": str(self.folder / "r.nc")},
            "observations": {"path": str(self.folder / "o.nc")},
            "time": {"routing_step": "6h", "train": ["2000-01-01", "2000-02-20"]},
            "partition": {"parts": 1},
            "compute": {"kind": "serial"},
            "estimate": {"steps": 2, "window": "20d", "uniform_grid": 3},
        }
        for name, keys in changes.items():
            data[name] = {**data.get(name, {}), **keys}
        (self.folder / "w.yaml").write_text(yaml.safe_dump(data))

    @property
    def run(self) -> list[str]:
        return ["run", str(self.folder / "w.yaml")]

    @property
    def route(self) -> list[str]:
        n, r, q = (str(self.folder / name) for name in ("n.csv", "r.nc", "q.nc"))
        return [
            "route",
            "--network",
            n,
            "--runoff",
            r,
            "--scheme",
            "muskingum",
            "--output",
            q,
            "--routing-step",
            "6h",
        ]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def problem(stderr: str) -> str:
    """The text after `rivergrad: error:`, of which there is one, at the end, one or two lines long."""
    assert "Traceback" not in stderr
    assert "Logging error" not in stderr
    before, marker, message = stderr.partition("rivergrad: error: ")
    assert marker, stderr
    assert marker not in message
    assert 1 <= len(message.splitlines()) <= 2, message
    assert not before or before.endswith("\n")
    return message


def refused(folder: Path, *args: str) -> str:
    before = listing(folder)
    result = CliRunner().invoke(app, list(args))
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    assert result.stdout == ""
    assert listing(folder) == before, "something was left behind"
    return problem(result.stderr)


def spoil_network(row: str, by: str) -> Callable[[Case], None]:
    def spoil(case: Case) -> None:
        assert row in NETWORK
        (case.folder / "n.csv").write_text(NETWORK.replace(row, by))

    return spoil


BOTH: dict[str, tuple[Callable[[Case], None], list[str]]] = {
    "a cycle": (spoil_network("14,-1,", "14,12,"), ["n.csv", "12", "13", "14", "cycle"]),
    "a reach into itself": (spoil_network("14,-1,", "14,14,"), ["n.csv", "14"]),
    "an unknown downstream id": (spoil_network("13,14,", "13,99,"), ["n.csv", "99", "13"]),
    "a missing column": (spoil_network("downstream_id", "down"), ["n.csv", "downstream_id"]),
    "a negative length": (spoil_network(",8000,", ",-8000,"), ["n.csv", "12", "length"]),
    "a missing unit": (lambda c: write_runoff(c.folder / "r.nc", None), ["r.nc", "runoff", "units"]),
    "an unknown unit": (
        lambda c: write_runoff(c.folder / "r.nc", "furlong/fortnight"),
        ["r.nc", "runoff", "furlong"],
    ),
    "runoff that lacks a reach": (
        lambda c: write_runoff(c.folder / "r.nc", ids=[11, 13, 14]),
        ["r.nc", "12"],
    ),
    "a file that is not there": (lambda c: (c.folder / "r.nc").unlink(), ["r.nc"]),
    "a file that is no such file": (
        lambda c: (c.folder / "r.nc").write_bytes(b"text" * 200) and None,
        ["r.nc"],
    ),
    "a network that is not there": (lambda c: (c.folder / "n.csv").unlink(), ["n.csv"]),
}


@pytest.mark.parametrize("what", BOTH)
@pytest.mark.parametrize("command", ["run", "route"])
def test_network_and_runoff(case: Case, command: str, what: str) -> None:
    spoil, names = BOTH[what]
    spoil(case)
    message = refused(case.folder, *getattr(case, command))
    for name in names:
        assert name in message


def test_good_input_is_not_refused(case: Case) -> None:
    """Without this all tests here could pass on a fixture that is broken itself."""
    result = CliRunner().invoke(app, case.route)
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(app, ["estimate", *case.run[1:]])
    assert result.exit_code == 0, result.output
    assert (case.folder / "run" / "parameters.zarr").is_dir()


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"reach": 77}, ["o.nc", "G1", "77"]),
        ({"first": "2010-01-01"}, ["do not overlap", "r.nc", "o.nc", "2000-01-01", "2010-01-01"]),
        ({"missing": True}, ["o.nc", "G1", "missing"]),
        ({"units": None}, ["o.nc", "discharge", "units"]),
        ({"units": "parsec"}, ["o.nc", "discharge", "parsec"]),
        ({"first": "2000-02-15"}, ["o.nc", "time.train"]),  # too little of it lies in the training period
    ],
)
def test_observations(case: Case, options: dict[str, Any], names: list[str]) -> None:
    write_observations(case.folder / "o.nc", **options)
    message = refused(case.folder, *case.run)
    for name in names:
        assert name in message


def test_steps_that_are_no_multiple(case: Case) -> None:
    message = refused(case.folder, *case.route[:-1], "7h")
    assert re.search(r"86400 s.* 25200 s", message)
    case.workflow(time={"routing_step": "7h"})
    message = refused(case.folder, *case.run)
    assert re.search(r"86400 s.* 25200 s", message)


def test_workflow_keys(case: Case) -> None:
    case.workflow(estimate={"stepz": 3})
    message = refused(case.folder, *case.run)
    for name in ("w.yaml", "estimate.stepz", "estimate.steps"):
        assert name in message
    case.workflow(gauges={"holdout_ids": ["nobody"]})
    assert "gauges.holdout_ids: found nobody" in refused(case.folder, *case.run)
    case.workflow(parameters={"trend": ["altitude"]})
    message = refused(case.folder, *case.run)
    assert "parameters.trend: the network has no attribute altitude" in message
    assert "slope" in message
    case.workflow(time={"train": ["1990-01-01", "1990-03-01"]})
    message = refused(case.folder, *case.run)
    for name in ("time.train", "1990-01-01..", "r.nc", "2000-01-01"):
        assert name in message
    case.workflow(gauges={"holdout_ids": ["G1"]})
    assert "expected at least one to train on" in refused(case.folder, *case.run)


def test_mended_input_runs_in_the_same_place(case: Case) -> None:
    """A run that never began does not stand in the way of the next one, which has another configuration."""
    case.workflow(runoff={"path": str(case.folder / "nix.nc")})
    refused(case.folder, *case.run)
    case.workflow()
    result = CliRunner().invoke(app, ["estimate", *case.run[1:]])
    assert result.exit_code == 0, result.output


def test_in_a_real_process(case: Case) -> None:
    spoil_network("13,14,", "13,99,")(case)
    before = listing(case.folder)
    done = subprocess.run(
        [sys.executable, "-m", "rivergrad.cli", *case.run],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "99" in problem(done.stderr)
    assert done.stderr.startswith("rivergrad: error: ")
    assert listing(case.folder) == before


# --- a full disk ---------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes a disk of some KiB."""
    folder = tmp_path / "disk"

    def make(kib: int) -> Path:
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)]
        try:
            mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            mounted = False
        if not mounted:
            pytest.skip("a small disk cannot be mounted here (it needs root)")
        return folder

    yield make
    if os.path.ismount(folder):
        # lazily: HDF5 holds on to a file that it could not close
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk_while_routing(tmp_path: Path, small_disk: Callable[[int], Path]) -> None:
    rng = np.random.default_rng(0)
    n = 400
    lines = [
        "reach_id,downstream_id,length_m",
        *(f"{i},{i + 1 if i % 20 else -1},5000" for i in range(1, n + 1)),
    ]
    (tmp_path / "n.csv").write_text("\n".join(lines) + "\n")
    xr.Dataset(
        {
            "runoff": (("time", "reach"), rng.exponential(1.0, (365, n)), {"units": "m3 s-1"}),
            "reach_id": (("reach",), np.arange(1, n + 1)),
        },
        coords={"time": times(count=365)},
    ).to_netcdf(tmp_path / "r.nc")
    disk = small_disk(200)
    for name in ("q.nc", "q.zarr"):
        message = refused(
            disk, "route", "--network", str(tmp_path / "n.csv"), "--runoff", str(tmp_path / "r.nc"),
            "--scheme", "muskingum", "--routing-step", "1d", "--output", str(disk / name), "--chunk-steps", "60",
        )  # fmt: skip
        assert name in message
        assert "no space left" in message.lower()


@pytest.mark.parametrize("kib", [4, 40, 120, 250])
def test_full_disk_while_a_workflow_runs(
    tmp_path: Path, small_disk: Callable[[int], Path], case: Case, kib: int
) -> None:
    """Wherever the space ends: exit 2, one message, nothing under a temporary name, and no half of a result."""
    disk = small_disk(kib)
    data = yaml.safe_load((case.folder / "w.yaml").read_text())
    (case.folder / "w.yaml").write_text(yaml.safe_dump({**data, "output": str(disk / "run")}))
    result = CliRunner().invoke(app, case.run)
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    message = problem(result.stderr)
    assert "no space left" in message.lower()
    assert str(disk) in message
    left = listing(disk)
    assert not [name for name in left if ".tmp" in name], left
    if kib <= 40:
        assert [name for name in left if name != "run"] == []
    for name in ("parameters.zarr", "network.zarr", "partition.zarr"):
        store = disk / "run" / name
        assert not store.exists() or (store / "zarr.json").stat().st_size > 0
