"""Formats of other people: registered, by import path, and announced by an installed package."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import rivergrad as rg
from rivergrad import registry
from rivergrad.cli.app import app
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


def test_a_package_reaches_every_command(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """inspect, import, route and validate take a format that an installed package announces."""
    point = EntryPoint("plain", "outside_format:Plain", "rivergrad.formats")
    monkeypatch.setattr(
        "importlib.metadata.entry_points", lambda *, group: [point] if group == "rivergrad.formats" else []
    )
    monkeypatch.chdir(plain)
    (plain / "runoff.plain").write_text("1 2\n" * 6)
    (plain / "o.csv").write_text("time,2\n" + "".join(f"2001-01-0{day},3\n" for day in range(1, 7)))
    (plain / "w.yaml").write_text(
        "name: w\noutput: run\nnetwork: {path: net.plain}\nrunoff: {path: runoff.plain}\n"
        "observations: {path: o.csv}\nscheme: {name: muskingum}\nparameters: {model: uniform}\n"
        "estimate: {method: gauss_newton, window: 2d}\n"
        "time: {train: [2001-01-01, 2001-01-04], validation: [2001-01-05, 2001-01-06], warmup: 0d, routing_step: 1h}\n"
    )

    def call(words: str) -> str:
        result = CliRunner().invoke(app, words.split())
        assert result.exit_code == 0, result.output
        return result.output

    assert "net.plain: network, plain (its name ends in .plain)\n  2 reaches, 1 outlet (2)" in call(
        "inspect net.plain"
    )
    said = call("inspect runoff.plain")
    assert "runoff.plain: runoff, plain" in said
    assert "runoff:\n  path: runoff.plain\n  format: plain" in said
    assert "2 reaches, 6 steps" in call("import runoff runoff.plain --network net.plain --output r.nc")
    assert "valid (w: muskingum" in call("validate w.yaml")
    call("route --network net.plain --runoff runoff.plain --scheme pure_lag --output q.nc")


def test_several_files_are_not_read_as_one_by_a_format_of_others(plain: Path) -> None:
    network = rg.read_network(plain / "net.plain", "outside_format:Plain")
    (plain / "runoff2.plain").write_text("1 2\n3 4\n0 0\n")
    with pytest.raises(rg.InputError, match="one of 2 files, and its format reads one"):
        rg.open_runoff(plain / "runoff*.plain", network, format="outside_format:Plain")


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
