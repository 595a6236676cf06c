"""Commands never write over what they read, by whatever name, nor over what is not of the kind they write."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from small_river import DAYS, River, call, contents, the_line

from rivergrad.io import read_network, write_discharge, write_parameters
from rivergrad.io.output import DISCHARGE, claim_output


@pytest.fixture
def river(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> River:
    """The files, also as stores, and parameters of every reach."""
    river = River(tmp_path / "river").write()
    monkeypatch.chdir(river.folder)
    with xr.open_dataset("r.nc") as data:
        data.load().to_zarr("r.zarr", consolidated=False)
    network = read_network("n.csv")
    n = network.n_reaches
    values = {"k": np.full(n, 4e4), "x": np.full(n, 0.1)}
    write_parameters(Path("p.csv"), network.reach_id, values)
    write_parameters(Path("p.nc"), network.reach_id, values)
    write_parameters(Path("p.zarr"), network.reach_id, values)
    from rivercut.store import write_network

    write_network(network, "n.zarr")
    return river


def route(
    output: str, *more: str, network: str = "n.csv", runoff: str = "r.nc", parameters: str = "p.csv"
) -> Any:
    words = ["--network", network, "--runoff", runoff, "--parameters", parameters, "--scheme", "muskingum"]
    return call("route", *words, "--routing-step", "6h", "--output", output, *more)


def link(name: str, to: str) -> str:
    Path(name).symlink_to(to)
    return name


def hard(name: str, to: str) -> str:
    os.link(to, name)
    return name


def folder(name: str) -> str:
    Path(name).mkdir()
    (Path(name) / "mine").write_text("mine")
    return name


def text(name: str) -> str:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text("mine")
    return name


OVER_INPUT: dict[str, Callable[[], Any]] = {
    "the runoff": lambda: route("r.nc"),
    "the runoff, overwriting": lambda: route("r.nc", "--overwrite"),
    "by ./": lambda: route("./r.nc"),
    "by another way": lambda: route("../river/r.nc"),
    "by its whole name": lambda: route(str(Path("r.nc").absolute())),
    "by a link": lambda: route(link("l.nc", "r.nc")),
    "by a link to a folder": lambda: route(f"{link('l', '.')}/r.nc"),
    "by a hard link": lambda: route(hard("h.nc", "r.nc")),
    "read by a link": lambda: route("r.nc", runoff=link("l.nc", "r.nc")),
    "the store": lambda: route("r.zarr", runoff="r.zarr"),
    "the store with a slash": lambda: route("r.zarr/", runoff="r.zarr"),
    "in the store": lambda: route("r.zarr/q.zarr", runoff="r.zarr"),
    "a file in the store": lambda: route("r.zarr/q.nc", runoff="r.zarr"),
    "deep in the store": lambda: route("r.zarr/runoff/c/q.nc", runoff="r.zarr"),
    "in the store by a link": lambda: route(f"{link('l', 'r.zarr')}/q.zarr", runoff="r.zarr"),
    "an array of the store": lambda: route("r.zarr/runoff", runoff="r.zarr"),
    "in another store": lambda: route("n.zarr/q.zarr"),
    "in the network": lambda: route("n.zarr/q.nc", network="n.zarr"),
    "the network": lambda: route("n.zarr", network="n.zarr"),
    "the parameters": lambda: route("p.nc", parameters="p.nc"),
    "the store of parameters": lambda: route("p.zarr", parameters="p.zarr"),
    "above what is read": lambda: (
        Path("a.zarr").mkdir(),
        shutil.move("r.nc", "a.zarr/r.nc"),
        route("a.zarr", runoff="a.zarr/r.nc"),
    )[-1],
    "a folder": lambda: route(folder("q.nc")),
    "a folder as a store": lambda: route(folder("q.zarr")),
    "a file as a store": lambda: route(text("q.zarr")),
    "a text": lambda: route(text("q.nc")),
    "a text, overwriting": lambda: route(text("q.nc"), "--overwrite"),
    "observations": lambda: route("o.nc", "--overwrite"),
    "a store of another kind": lambda: route("n.zarr", "--overwrite"),
    "a store of parameters": lambda: route("p.zarr", "--overwrite"),
    "a link to a folder of another kind": lambda: route(link("q.zarr", folder("mine"))),
    "below a file": lambda: route("n.csv/q.nc"),
    "the network, cut": lambda: call("partition", "--network", "n.zarr", "--parts", "2", "--output", "n.zarr"),
    "in the network, cut": lambda: call(
        "partition", "--network", "n.zarr", "--parts", "2", "--output", "n.zarr/p.zarr"
    ),
    "the network by a link, cut": lambda: call(
        "partition", "--network", "n.zarr", "--parts", "2", "--output", link("l.zarr", "n.zarr")
    ),
    "a folder, cut": lambda: call("partition", "--network", "n.csv", "--parts", "2", "--output", folder("q.zarr")),
    "runoff, cut": lambda: call("partition", "--network", "n.csv", "--parts", "2", "--output", "r.zarr"),
}  # fmt: skip


@pytest.mark.parametrize("what", OVER_INPUT)
def test_what_is_there_stays(river: River, what: str) -> None:
    whole = contents(river.folder)
    code, said = OVER_INPUT[what]()
    assert code == 2, said
    the_line(said)
    after = contents(river.folder)
    if what != "above what is read":
        assert {name: after.get(name) for name in whole} == whole
    assert not [name for name in after if ".tmp" in name or ".new" in name or ".old" in name]
    assert all(Path(name).read_text() == "mine" for name in after if name.endswith("/mine"))


def test_good_outputs_are_written_and_replaced(river: River) -> None:
    assert route("q.nc")[0] == 0
    assert route("q.nc")[0] == 0  # a file that is made again in no time
    assert route("q.zarr")[0] == 0
    code, said = route("q.zarr")
    assert code == 2
    assert "--output q.zarr: is there; expected another place to write to, or --overwrite" in the_line(said)
    before = Path("q.zarr").stat().st_ino
    assert route("q.zarr", "--overwrite")[0] == 0
    assert Path("q.zarr").stat().st_ino != before
    Path("empty.nc").touch()
    assert route("empty.nc")[0] == 0
    Path("empty.zarr").mkdir()
    assert route("empty.zarr")[0] == 0
    assert route("deep/below/q.nc")[0] == 0
    (river.folder / "q.zarr" / "mine").write_text("mine")  # no longer a store alone
    assert route("q.zarr", "--overwrite")[0] == 2
    assert (river.folder / "q.zarr" / "mine").read_text() == "mine"
    for _ in range(2):
        assert call("partition", "--network", "n.csv", "--parts", "2", "--output", "c.zarr")[0] == 0


def test_what_fails_leaves_no_new_folders(river: River) -> None:
    with xr.open_dataset("r.nc") as data:
        new = data.load()
    new["runoff"][100, 3] = np.nan
    new.to_netcdf("r.nc")
    before = contents(river.folder)
    for name in ("new/deep/q.nc", "new/deep/q.zarr"):
        assert route(name)[0] == 2
        assert contents(river.folder) == before


def test_beside_files_of_rapid_there_is_room(river: River) -> None:
    Path("rapid").mkdir()
    Path("rapid/rapid_connect.csv").write_text("1,2,0,0,0\n2,0,1,1,0\n")
    Path("rapid/k.csv").write_text("30000\n30000\n")
    Path("rapid/x.csv").write_text("0.1\n0.1\n")
    time = np.datetime64("2001-01-01", "ns") + np.arange(DAYS) * np.timedelta64(1, "D")
    xr.Dataset(
        {"runoff": (("time", "reach"), np.ones((DAYS, 2)), {"units": "m3 s-1"})},
        coords={"time": time, "reach": [1, 2]},
    ).to_netcdf("rapid/m.nc")
    words = {"network": "rapid", "runoff": "rapid/m.nc", "parameters": "rapid"}
    assert route("rapid/q.nc", **words)[0] == 0
    assert route("rapid/m.nc", **words)[0] == 2


def test_names_of_runs_in_their_directories(river: River) -> None:
    assert call("estimate", "w.yaml")[0] == 0
    before = contents(river.run_dir)
    for name in (
        "network.zarr",
        "partition.zarr",
        "discharge.nc",
        "maps/q.nc",
        "parameters.zarr",
        "folds/1/q.nc",
    ):
        code, said = route(f"run/{name}", "--overwrite")
        assert code == 2, name
        the_line(said)
    for name, format in (("parameters.zarr", "zarr"), ("metrics.csv", "csv"), ("hydrographs.nc", "netcdf")):
        code, said = call("export", "run", "--format", format, "--output", f"run/{name}")
        assert code == 2, name
        the_line(said)
    code, said = call("export", "run", "--format", "zarr", "--output", link("l.zarr", "run/parameters.zarr"))
    assert code == 2
    for name in ("n.csv", "o.nc"):
        code, said = call(
            "export", "run", "--format", "csv" if name == "n.csv" else "netcdf", "--output", name
        )
        assert code == 2
        assert "is not parameters that rivergrad wrote" in the_line(said)
    assert contents(river.run_dir) == before
    for _ in range(2):
        for name, format in (("mine.csv", "csv"), ("mine.nc", "netcdf"), ("mine.parquet", "parquet")):
            assert call("export", "run", "--format", format, "--output", f"run/{name}")[0] == 0
    assert call("estimate", "w.yaml", "--fresh")[0] == 0
    assert (river.run_dir / "mine.csv").is_file()


def test_large_files_are_dear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, time = tmp_path / "q.nc", np.array(["2001-01-01"], "M8[ns]")
    write_discharge(path, np.array([1]), time, np.ones((1, 1)))
    claim_output(path, DISCHARGE, {})
    monkeypatch.setattr("rivergrad.io.output.DEAR", 10)
    from rivergrad.errors import InputError

    with pytest.raises(InputError, match="or --overwrite"):
        claim_output(path, DISCHARGE, {})
    claim_output(path, DISCHARGE, {}, overwrite=True)
