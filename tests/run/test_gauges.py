"""Gauges on their way into a run: placed and told so in gauges.csv, screened and told so in screening.csv."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from numpy.typing import NDArray
from typer.testing import CliRunner

from rivercut import graph
from rivergrad.cli import app
from rivergrad.config.load import load_workflow
from rivergrad.config.schema import Workflow
from rivergrad.config.sections import PlacementSection, ScreeningSection
from rivergrad.errors import InputError
from rivergrad.gauges.screening import ScreeningSettings
from rivergrad.io import PlacementSettings
from rivergrad.run.inputs import Inputs, prepare_inputs
from rivergrad.run.screening import screen_inputs

Float = NDArray[np.float64]
REACHES, DAYS, TRAIN = 8, 500, 400
NAMES = [f"G{i}" for i in range(REACHES)]


def write_case(folder: Path, **gauges: Any) -> Path:
    """A river of eight reaches with a gauge on each, which reports the runoff upstream two days later; a workflow file.

    Gauges train on the first 400 days and are tested on the next 100; `gauges` are keys of that section.
    """
    ids = np.arange(1, REACHES + 1)
    pd.DataFrame(
        {
            "reach_id": ids,
            "downstream_id": [*ids[1:], -1],
            "length_m": 3000.0,
            "lat": 0.02 * ids,
            "lon": 10.0,
            "upstream_area_m2": 1e8 * ids,
        }
    ).to_csv(folder / "n.csv", index=False)
    rng = np.random.default_rng(5)
    storm = rng.exponential(1.0, (DAYS, 1)) * (rng.random((DAYS, 1)) < 0.3)
    runoff = storm + 0.2 * rng.random((DAYS, REACHES)) + 0.1
    time = np.datetime64("2000-01-01", "ns") + np.arange(DAYS) * np.timedelta64(1, "D")
    xr.Dataset(
        {"runoff": (("time", "reach"), runoff, {"units": "m3 s-1"}), "reach_id": ("reach", ids)},
        coords={"time": time},
    ).to_netcdf(folder / "r.nc")
    discharge = np.roll(np.cumsum(runoff, axis=1), 2, axis=0) * np.exp(
        0.1 * rng.standard_normal((DAYS, REACHES))
    )
    xr.Dataset(
        {"discharge": (("time", "gauge"), discharge, {"units": "m3 s-1"}), "reach_id": ("gauge", ids)},
        coords={"time": time, "gauge": np.array(NAMES, object)},
    ).to_netcdf(folder / "o.nc")
    data: dict[str, Any] = {
        "name": "gauges",
        "output": str(folder / "run"),
        "network": {"path": str(folder / "n.csv")},
        "runoff": {"path": str(folder / "r.nc")},
        "observations": {"path": str(folder / "o.nc")},
        "time": {
            "routing_step": "6h",
            "train": ["2000-01-01", str(time[TRAIN - 1].astype("M8[D]"))],
            "test": [str(time[TRAIN].astype("M8[D]")), str(time[-1].astype("M8[D]"))],
        },
        "gauges": gauges,
        "partition": {"parts": 1},
        "compute": {"kind": "serial"},
        "estimate": {"steps": 2, "window": "60d", "uniform_grid": 3},
    }
    (folder / "w.yaml").write_text(yaml.safe_dump(data))
    return folder / "w.yaml"


def change(folder: Path, **variables: Any) -> None:
    """Replace or add variables of the observations; None removes one."""
    with xr.open_dataset(folder / "o.nc") as dataset:
        loaded = dataset.load()
    for name, value in variables.items():
        loaded = loaded.drop_vars(name) if value is None else loaded.assign({name: value})
    loaded.to_netcdf(folder / "o.nc")


def discharge(folder: Path) -> Float:
    with xr.open_dataset(folder / "o.nc") as dataset:
        return np.array(dataset["discharge"].values)


def prepared(folder: Path, *settings: str) -> tuple[Workflow, Inputs, Float]:
    config = load_workflow(folder / "w.yaml", settings)
    inputs = prepare_inputs(config, folder / "run")
    network = inputs.network
    runoff = inputs.runoff.read(None, 0, DAYS).T
    unrouted = graph.accumulate(network.downstream, network.order, runoff).T[:, inputs.observations.reach]
    return config, inputs, unrouted


def screened(folder: Path, *settings: str) -> tuple[Inputs, Inputs, pd.DataFrame]:
    """Inputs before and after screening, and its table."""
    config, inputs, unrouted = prepared(folder, *settings)
    after = screen_inputs(inputs, unrouted, config, folder / "run")
    return inputs, after, pd.read_csv(folder / "run" / "screening.csv", keep_default_na=False)


ON = "gauges.screening.enabled=true"

# -- negative values -----------------------------------------------------------------------------------------


def test_negative_discharge_is_missing_and_said_or_as_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_case(tmp_path)
    values = discharge(tmp_path)
    values[10:13, 2] = -7.0
    values[20, 3] = -0.5
    change(tmp_path, discharge=(("time", "gauge"), values, {"units": "m3 s-1"}))
    with caplog.at_level("WARNING", logger="rivergrad"):
        _, inputs, _ = prepared(tmp_path)
    assert np.argwhere(np.isnan(inputs.observed)).tolist() == [[10, 2], [11, 2], [12, 2], [20, 3]]
    said = [one.getMessage() for one in caplog.records if "negative" in one.getMessage()]
    assert len(said) == 1
    assert (
        "4 negative values of discharge at 2 gauges are taken for missing, most often -7 m3 s-1 (3 times)"
        in said[0]
    )
    _, kept, _ = prepared(tmp_path, "gauges.negative=keep")
    assert kept.observed[10:13, 2].tolist() == [-7.0] * 3
    with pytest.raises(InputError, match=r"the gauges G2, G3 hold 4 negative values .* first at 2000-01-11"):
        prepared(tmp_path, "gauges.negative=error")


# -- placement -----------------------------------------------------------------------------------------------


def test_defaults_stand_once() -> None:
    assert PlacementSettings(**dict(PlacementSection())) == PlacementSettings()
    section = dict(ScreeningSection())
    assert section.pop("enabled") is True
    assert ScreeningSettings(**section) == ScreeningSettings()


def test_gauges_csv_and_what_goes_on(tmp_path: Path) -> None:
    write_case(tmp_path, holdout_ids=["G1", "G7"], placement={"unknown": "drop"})
    values = discharge(tmp_path)
    change(
        tmp_path,
        reach_id=("gauge", [1, 77, 3, 4, 5, 6, 77, 8]),
        lat=("gauge", [np.nan] * 6 + [0.1401, np.nan]),
        lon=("gauge", [np.nan] * 6 + [10.0, np.nan]),
        area_km2=("gauge", [100.0, np.nan, np.nan, np.nan, np.nan, np.nan, 700.0, 3.0]),
        weight=("gauge", np.arange(8.0)),
        discharge_error=("gauge", np.full(8, 0.1), {"units": "1"}),
    )
    _, inputs, _ = prepared(tmp_path)
    table = pd.read_csv(tmp_path / "run" / "gauges.csv")
    assert table["gauge"].tolist() == NAMES
    assert table["status"].tolist() == ["matched", "dropped", *["matched"] * 4, "moved", "dropped"]
    assert table["reach_id"].fillna(0).tolist() == [1, 0, 3, 4, 5, 6, 7, 0]
    # what was dropped may have been held out by name, and is no mistake; one of a wrong name is
    assert inputs.observations.gauge.tolist() == ["G0", "G2", "G3", "G4", "G5", "G6"]
    assert not inputs.held_out.any()
    with pytest.raises(InputError, match=r"holdout_ids: found nobody"):
        prepared(tmp_path, "gauges.holdout_ids=[nobody]")
    kept = [0, 2, 3, 4, 5, 6]
    assert inputs.observed == pytest.approx(values[:, kept])
    assert inputs.observed_error is not None
    assert inputs.observed_error == pytest.approx(0.1 * values[:, kept], rel=0.05)
    assert inputs.weight is not None
    assert inputs.weight.tolist() == [float(g) for g in kept]
    assert inputs.placement is inputs.observations.placement


def test_errors_lie_on_the_time_of_the_runoff(tmp_path: Path) -> None:
    write_case(tmp_path)
    with xr.open_dataset(tmp_path / "o.nc") as dataset:
        later = dataset.load().isel(time=slice(100, None))
    later["discharge_error"] = ("time", "gauge"), np.full(later["discharge"].shape, 2.0), {"units": "m3/s"}
    later.to_netcdf(tmp_path / "o.nc")
    _, inputs, _ = prepared(tmp_path)
    assert inputs.observed_error is not None
    assert np.isnan(inputs.observed_error[:100]).all()
    assert (inputs.observed_error[100:] == 2.0).all()


def test_scaled_by_area(tmp_path: Path) -> None:
    write_case(tmp_path)
    values = discharge(tmp_path)
    change(tmp_path, area_m2=("gauge", 1e8 * np.arange(1, 9) / 1.25))
    _, inputs, _ = prepared(tmp_path, "gauges.placement.scale_by_area=true")
    assert inputs.observed == pytest.approx(1.25 * values)
    table = pd.read_csv(tmp_path / "run" / "gauges.csv")
    assert table["scale"].tolist() == [1.25] * 8
    assert table["area_ratio"].tolist() == [0.8] * 8


def refused(workflow: Path) -> str:
    """The message of a run that ends with 2 and leaves nothing."""
    result = CliRunner().invoke(app, ["run", str(workflow)])
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    assert result.stdout == ""
    assert not (workflow.parent / "run").exists()
    _, marker, message = result.stderr.partition("rivergrad: error: ")
    assert marker
    assert 1 <= len(message.splitlines()) <= 2
    return " ".join(message.split())


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({"reach_id": ("gauge", [77] * 8)}, ["o.nc", "G0 (reach 77)", "the network does not have"]),
        ({"reach_id": None}, ["o.nc", "reach_id(gauge)", "missing"]),
        ({"area_m2": ("gauge", [1e15] * 8)}, ["o.nc", "none of the 8 gauges", "G0", "expected at least one"]),
        (
            {"reach_id": None, "lat": ("gauge", [50.0] * 8), "lon": ("gauge", [10.0] * 8)},
            ["o.nc", "none of the 8 gauges", "no reach within 5 km", "the nearest, 8, is"],
        ),
        ({"weight": ("gauge", [-1.0] * 8)}, ["o.nc", "gauge G0 has the weight -1"]),
        ({"discharge_error": ("gauge", [1.0] * 8)}, ["o.nc", "discharge_error", "units"]),
        ({"discharge_error": ("gauge", [-1.0] * 8, {"units": "1"})}, ["o.nc", "G0", "expected it above 0"]),
    ],
)
def test_bad_gauges(tmp_path: Path, variables: dict[str, Any], names: list[str]) -> None:
    workflow = write_case(tmp_path)
    change(tmp_path, **variables)
    message = refused(workflow)
    for name in names:
        assert name in message


@pytest.mark.parametrize(
    ("gauges", "message"),
    [
        ({"placement": {"distance": 5}}, "gauges.placement.distance: found 5; expected a distance such as 800m or 5km"),
        ({"placement": {"distance": "0m"}}, "gauges.placement.distance: found '0m'"),
        ({"placement": {"area_tolerance": 0.5}}, "gauges.placement.area_tolerance: found 0.5; expected a value"),
        ({"placement": {"unknown": "keep"}}, "gauges.placement.unknown: found 'keep'"),
        ({"placement": {"radius": "5km"}}, "gauges.placement.radius: unknown key"),
        ({"screening": {"enabled": 1}}, "gauges.screening.enabled: found 1; expected true or false"),
        ({"screening": {"enable": True}}, "did you mean gauges.screening.enabled?"),
        ({"screening": {"volume_factor": 1.0}}, "gauges.screening.volume_factor: found 1.0; expected a value greater"),
        ({"screening": {"correlation": 2.0}}, "gauges.screening.correlation: found 2.0"),
        ({"screening": {"flat_run": 30}}, "gauges.screening.flat_run: found 30; expected a duration"),
    ],
)  # fmt: skip
def test_bad_keys(tmp_path: Path, gauges: dict[str, Any], message: str) -> None:
    assert message in refused(write_case(tmp_path, **gauges))


def test_a_run_with_dropped_gauges(tmp_path: Path) -> None:
    workflow = write_case(tmp_path, placement={"unknown": "drop", "distance": "3km"})
    change(tmp_path, reach_id=("gauge", [1, 2, 3, 77, 5, 6, 7, 8]))
    result = CliRunner().invoke(app, ["estimate", str(workflow)])
    assert result.exit_code == 0, result.output
    run = tmp_path / "run"
    assert "7 of 8 gauges have a reach (7 by id); dropped: G3" in (run / "log.txt").read_text()
    assert "gauge G3 dropped: reach 77 is not in the network" in (run / "log.txt").read_text()
    assert "G3" not in pd.read_csv(run / "metrics.csv")["gauge"].tolist()
    assert "distance: 3km" in (run / "config.yaml").read_text()


# -- screening -----------------------------------------------------------------------------------------------


def test_screening_switched_off(tmp_path: Path) -> None:
    """What cannot train stands in the table all the same; what is merely wrong is used as it is."""
    write_case(tmp_path, holdout_ids=["G6"], screening={"enabled": False})
    values = discharge(tmp_path)
    values[:TRAIN, 2] = np.nan  # has values in the test period only
    values[:, 3] = 4.0
    values[1:, 4] = np.nan
    values[:, 5] *= 35.31
    values[:, 6] = np.nan
    change(tmp_path, discharge=(("time", "gauge"), values, {"units": "m3 s-1"}))
    before, after, table = screened(tmp_path)
    assert after is before
    assert table.columns.tolist() == ["gauge", "reach_id", "what", "found", "expected", "start", "action"]
    assert table[["gauge", "reach_id", "what", "action"]].to_numpy().tolist() == [
        ["G2", 3, "no data", "dropped"],
        ["G3", 4, "flat line", "dropped"],
        ["G4", 5, "too few values", "dropped"],
        ["G6", 7, "no data", "reported only"],
    ]


def test_what_screening_leaves_out(tmp_path: Path) -> None:
    write_case(tmp_path, holdout_ids=["G6"])
    values = discharge(tmp_path)
    values[:, 1] *= 35.31
    values[:, 6] *= 35.31  # held out: reported, and scored as it is
    values[300:450, 2] = values[:, 2].mean()  # into the test period, which stays as it is
    values[TRAIN:, 3] *= 1000.0  # in the test period alone: not looked at
    values[:TRAIN, 4] = np.nan
    values[:, 5] = values[::-1, 5]
    change(
        tmp_path,
        discharge=(("time", "gauge"), values, {"units": "m3 s-1"}),
        discharge_error=("gauge", np.full(8, 0.1), {"units": "1"}),
    )
    before, after, table = screened(tmp_path, ON)
    assert table[["gauge", "what", "action"]].to_numpy().tolist() == [
        ["G1", "unit error", "dropped"],
        ["G2", "flat stretch", "masked 100 values"],
        ["G4", "no data", "dropped"],
        ["G5", "wrong river", "dropped"],
        ["G6", "unit error", "reported only"],
    ]
    assert table["start"].tolist() == ["", "2000-10-27T00:00:00", "", "", ""]
    expected = before.observed.copy()
    expected[:, [1, 5]] = np.nan
    expected[300:TRAIN, 2] = np.nan
    assert np.array_equal(after.observed, expected, equal_nan=True)
    assert after.observed_error is not None
    assert np.array_equal(np.isnan(after.observed_error), np.isnan(expected))
    assert np.array_equal(after.held_out, before.held_out)
    assert (before.suspects, after.suspects) == ({}, {6: "unit error"})
    thresholds = [ON, "gauges.screening.flat_run=200d", "gauges.screening.correlation=0.0"]
    _, _, table = screened(tmp_path, *thresholds)
    assert table["gauge"].tolist() == ["G1", "G4", "G6"]


def test_good_gauges_stay_as_they_are(tmp_path: Path) -> None:
    write_case(tmp_path)
    before, after, table = screened(tmp_path, ON)
    assert after is before
    assert table.empty


def test_a_test_period_between_training_and_validation_is_not_looked_at(tmp_path: Path) -> None:
    write_case(tmp_path)
    values = discharge(tmp_path)
    values[200:300, 3] *= 1e6
    change(tmp_path, discharge=(("time", "gauge"), values, {"units": "m3 s-1"}))
    periods = (
        "time.train=[2000-01-01, 2000-07-18]",  # 200 days
        "time.test=[2000-07-19, 2000-10-26]",
        "time.validation=[2000-10-27, 2001-02-03]",
    )
    before, after, table = screened(tmp_path, ON, *periods)
    assert table.empty
    assert after is before


def test_all_gauges_wrong(tmp_path: Path) -> None:
    write_case(tmp_path)
    change(tmp_path, discharge=(("time", "gauge"), discharge(tmp_path) * 35.31, {"units": "m3 s-1"}))
    with pytest.raises(InputError) as error:
        screened(tmp_path, ON)
    message = str(error.value)
    assert message.startswith(str(tmp_path / "o.nc"))
    assert "gauges.screening drops every training gauge within time.train: G0 (unit error: found" in message
    assert "as with ft3/s read as m3/s" in message
    assert len(message.splitlines()) == 1


def test_bad_gauges_neither_stop_a_run_nor_change_what_it_learns(tmp_path: Path) -> None:
    """Five gauges are spoilt in one file and empty in the other: the estimates are the same to the last bit."""

    learned = {}
    for name in ("spoilt", "empty"):
        (tmp_path / name).mkdir()
        workflow = write_case(tmp_path / name, screening={"enabled": True})
        values = discharge(tmp_path / name)
        values[:, 3] = np.nan
        values[1:, 4] = np.nan
        values[:, 5] = 7.0
        values[:, 6] *= 35.31
        values[:, 7] = values[::-1, 7]
        if name == "empty":
            values[:, 3:] = np.nan
        change(tmp_path / name, discharge=(("time", "gauge"), values, {"units": "m3 s-1"}))
        result = CliRunner().invoke(app, ["estimate", str(workflow)])
        assert result.exit_code == 0, result.output
        run = tmp_path / name / "run"
        with xr.open_zarr(run / "parameters.zarr", consolidated=False) as parameters:
            learned[name] = parameters["celerity"].values
        history = pd.read_csv(run / "history.csv")
        assert np.isfinite(history["loss"][1:]).all()
        assert np.isfinite(history["validation_nse"].iloc[-1])
        table = pd.read_csv(run / "screening.csv")
        assert table["gauge"].tolist() == NAMES[3:]
        assert (table["action"] == "dropped").all()
        expected = ["no data", "too few values", "flat line", "unit error", "wrong river"]
        assert table["what"].tolist() == (expected if name == "spoilt" else ["no data"] * 5)
    assert np.array_equal(learned["spoilt"], learned["empty"])
