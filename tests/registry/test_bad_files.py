"""Every registered format: a file that is cut off, empty or of another kind ends with exit 2 and one line.

A format that is registered and has no file here fails the first test, so a new one can't be forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_archives as archives
import tiny_networks as networks
import xarray as xr
from typer.testing import CliRunner

from rivercut.network import RiverNetwork
from rivercut.store import write_network
from rivergrad import registry
from rivergrad.cli.app import app

LDD = [[6, 6, 2], [255, 8, 2], [255, 6, 5]]
ROWS = {"reach_id": [10, 20, 30], "downstream_id": [30, 30, -1], "length_m": [1e3, 2e3, 3e3]}


def table(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        frame = pd.DataFrame(ROWS)
        frame.to_csv(folder / name, index=False) if name.endswith(".csv") else frame.to_parquet(folder / name)
        return folder / name

    return make


def observed(folder: Path) -> Path:
    xr.Dataset(
        {
            "discharge": (("time", "gauge"), [[1.0, 2.0]] * 3, {"units": "m3/s"}),
            "reach_id": ("gauge", [10, 20]),
        },
        {"time": ("time", np.arange(3), {"units": "days since 2001-01-01"}), "gauge": ("gauge", ["A", "B"])},
    ).to_netcdf(folder / "o.nc")
    return folder / "o.nc"


def store(folder: Path) -> Path:
    write_network(RiverNetwork.from_ids(*ROWS.values()), folder / "n.zarr")
    return folder / "n.zarr"


def wflow(folder: Path) -> Path:
    names = ("local_drain_direction", "river_mask", "river_length")
    values = (np.array(LDD, np.uint8), np.ones((3, 3), int), np.full((3, 3), 900.0))
    coords = {
        "lat": ("lat", [48.0, 47.99, 47.98], {"units": "degrees_north"}),
        "lon": ("lon", [8.0, 8.01, 8.02], {"units": "degrees_east"}),
    }
    xr.Dataset(
        {one: (("lat", "lon"), value) for one, value in zip(names, values, strict=True)}, coords
    ).to_netcdf(folder / "staticmaps.nc")
    return folder / "staticmaps.nc"


def of_network(name: str) -> Callable[[Path], Path]:
    return lambda folder: networks.FORMATS[name](folder, networks.IDS, networks.DOWN)


def of_archive(name: str) -> Callable[[Path], Path]:
    return lambda folder: archives.write(name, folder)


MAKERS: dict[str, Callable[[Path], Path]] = {
    **{name: of_network(name) for name in networks.FORMATS},
    **{name: of_archive(name) for name in (*archives.TEXTS, *archives.DATASETS) if name != "caravan_many"},
    "d8": lambda folder: networks.raster(folder / "d8.tif", [[1, 1, 4], [247, 64, 4], [247, 1, 0]]),
    "ldd": lambda folder: networks.raster(folder / "ldd.tif", LDD, nodata=255),
    "cama": lambda folder: networks.cama(
        folder, [[2, 3, -9], [-9999, 2, -10]], [[1, 1, -9], [-9999, 1, -10]]
    ),
    "wflow": wflow,
    "csv": table("n.csv"),
    "parquet": table("n.parquet"),
    "netcdf": observed,
    "zarr": store,
}
TEXT = (".csv", ".txt", ".rvh", ".rvt", ".xml", ".json")


def call(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stderr


def role_of(name: str) -> str:
    return "observations" if name == "netcdf" else str(registry.entry("format", name).load().reads[0])


def options(name: str, folder: Path) -> list[object]:
    """What reading a whole file of a format takes."""
    output = folder / f"out{'.zarr' if role_of(name) == 'network' else '.nc'}"
    more: list[object] = ["--format", name, "--output", output]
    if name == "netcdf":
        more += ["--network", table("n.csv")(folder)]
    if name in (*archives.TEXTS, *archives.DATASETS):
        rows = "".join(f"{one},7,8640\n" for one in archives.GAUGES)
        (folder / "s.csv").write_text("gauge,reach_id,area_km2\n" + rows)
        more += ["--stations", folder / "s.csv"]
    return more


def damage(path: Path, how: str) -> None:
    """Cut every file in the middle (texts in the first cell of their last line), empty it, or write something else."""
    for one in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if one.is_dir():
            continue
        content = one.read_bytes()
        half = len(content) // 2
        if one.suffix in TEXT and content.count(b"\n") > 1:
            half = content.rstrip().rfind(b"\n") + 2
        one.write_bytes(
            {"truncated": content[:half], "empty": b"", "another": b"\x00no such thing\xff" * 9}[how]
        )


def test_no_format_is_left_out() -> None:
    assert set(MAKERS) == {entry.name for entry in registry.entries("format") if not entry.outside}


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_a_whole_file_is_read(name: str, tmp_path: Path) -> None:
    """Or a line says what else it needs: the test of damage below would pass for a file that is never read."""
    path = MAKERS[name](tmp_path)
    code, said = call("inspect", path)
    assert code == 0, said
    code, said = call("import", role_of(name), path, *options(name, tmp_path))
    assert code == 0, said


@pytest.mark.parametrize("how", ["truncated", "empty", "another"])
@pytest.mark.parametrize("name", sorted(MAKERS))
def test_a_damaged_file_is_exit_2_and_one_line(name: str, how: str, tmp_path: Path) -> None:
    path = MAKERS[name](tmp_path)
    damage(path, how)
    code, said = call("import", role_of(name), path, *options(name, tmp_path))
    assert code == 2, said
    errors = [line for line in said.splitlines() if line.startswith("rivergrad: error: ")]
    assert len(errors) == 1, said
    assert len(said[said.index(errors[0]) :].splitlines()) <= 2, said
    assert not list(tmp_path.glob("out.*"))
    if how == "another":
        code, said = call("inspect", path)
        assert code == 2, said
