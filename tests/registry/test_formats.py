"""Formats of other people: registered, by import path, and announced by an installed package."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

import rivergrad as rg
from rivergrad import registry
from rivergrad.io.formats import ROLES

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.delitem(sys.modules, "outside_format", raising=False)
    with registry.forgetting():
        yield


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    (tmp_path / "net.plain").write_text("1 2 1000\n2 -1 1000\n")
    (tmp_path / "runoff.plain").write_text("1 2\n3 4\n0 0\n")
    return tmp_path


def read(folder: Path, format: str) -> None:
    network = rg.read_network(folder / "net.plain", format)
    assert network.reach_id.tolist() == [1, 2]
    runoff = rg.open_runoff(folder / "runoff.plain", network, format=format)
    discharge = rg.simulate(network, runoff, {"delay": 0.0}, "pure_lag", routing_step="1d", dtype="float64")
    np.testing.assert_allclose(discharge, [[1, 3], [3, 7], [0, 0]])


def test_unknown_before(plain: Path) -> None:
    with pytest.raises(rg.InputError):
        rg.read_network(plain / "net.plain")


def test_by_import_path(plain: Path) -> None:
    read(plain, "outside_format:Plain")


def test_registered_and_guessed(plain: Path) -> None:
    import outside_format

    rg.register("format", "plain", outside_format.Plain)
    read(plain, "plain")
    read(plain, "auto")


def test_announced_by_a_package(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("plain", "outside_format:Plain", "rivergrad.formats")
    monkeypatch.setattr(
        "importlib.metadata.entry_points", lambda *, group: [point] if group == "rivergrad.formats" else []
    )
    read(plain, "auto")
    read(plain, "plain")


def test_what_is_no_format(plain: Path) -> None:
    with pytest.raises(rg.InputError, match="did you mean parquet"):
        rg.read_network(plain / "net.plain", "parque")
    with pytest.raises(rg.InputError, match="found one without"):
        rg.register("format", "nothing", object())
    with pytest.raises(rg.InputError, match="reads network; expected one that reads runoff"):
        rg.open_runoff(
            plain / "runoff.plain",
            rg.read_network(plain / "net.plain", "outside_format:Plain"),
            format="rapid",
        )


@pytest.mark.parametrize("entry", registry.entries("format"), ids=lambda entry: entry.name)
def test_own_formats_have_the_whole_interface(entry: registry.Entry, tmp_path: Path) -> None:
    made = entry.load()
    assert set(made.reads) <= set(ROLES)
    assert made.traps
    assert all(text.endswith(".") for text in made.traps)
    names = {"csv": "a.csv.gz", "parquet": "a.parquet", "netcdf": "a.nc", "zarr": "a.zarr", "rapid": "a"}
    for name, file in names.items():
        path = tmp_path / name / file
        path.parent.mkdir()
        if name == "rapid":
            path.mkdir()
            (path / "rapid_connect.csv").write_text("1,0\n")
        else:
            path.touch()
        assert (made.guess(path) is not None) == (name == entry.name)
