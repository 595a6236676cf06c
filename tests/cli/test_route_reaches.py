"""`rivergrad route --reaches`: some reaches are written, with the numbers that all would have."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from small_river import River
from typer.testing import CliRunner, Result

from rivergrad.cli import app


@pytest.fixture(scope="module")
def river(tmp_path_factory: pytest.TempPathFactory) -> River:
    found = River(tmp_path_factory.mktemp("river")).write()
    assert _route(found, "all.nc").exit_code == 0
    return found


def _route(river: River, name: str, *more: str) -> Result:
    folder = river.folder
    given = ["route", "--network", str(folder / "n.csv"), "--runoff", str(folder / "r.nc")]
    given += ["--scheme", "muskingum", "--routing-step", "4h", "--output", str(folder / name)]
    return CliRunner().invoke(app, [*given, *more])


def _ids(river: River) -> list[int]:
    return [int(one) for one in pd.read_csv(river.folder / "n.csv")["reach_id"]]


def _same(river: River, name: str, expected: list[int]) -> None:
    with xr.open_dataset(river.folder / name) as some, xr.open_dataset(river.folder / "all.nc") as every:
        assert some["reach"].to_numpy().tolist() == expected
        np.testing.assert_array_equal(some["discharge"], every["discharge"].sel(reach=expected))
        np.testing.assert_array_equal(some["time"], every["time"])


@pytest.mark.parametrize("more", [[], ["--parts", "2"], ["--state-out", "s.nc"]])
def test_ids_and_tables_are_written_in_the_networks_order(river: River, more: list[str]) -> None:
    ids = _ids(river)
    table = river.folder / "gauges.csv"
    pd.DataFrame({"gauge": ["a", "b"], "reach_id": [ids[3], ids[1]]}).to_csv(table, index=False)
    more = [str(river.folder / one) if one.endswith(".nc") else one for one in more]
    done = _route(river, "some.nc", "--reaches", f"{ids[5]}, {ids[1]}", "--reaches", str(table), *more)
    assert done.exit_code == 0, done.output
    _same(river, "some.nc", [ids[1], ids[3], ids[5]])


def test_largest_are_those_with_most_upstream(river: River) -> None:
    table = pd.read_csv(river.folder / "n.csv").set_index("reach_id")["downstream_id"]
    count = dict.fromkeys(table.index, 0)
    for reach in table.index:
        at = reach
        while at in count:
            count[at] += 1
            at = table.get(at, -1)
    ids = _ids(river)
    largest = sorted(ids, key=lambda one: -count[one])[:2]
    done = _route(river, "largest.zarr", "--reaches", "largest:2")
    assert done.exit_code == 0, done.output
    with (
        xr.open_zarr(river.folder / "largest.zarr") as found,
        xr.open_dataset(river.folder / "all.nc") as every,
    ):
        assert found["reach"].to_numpy().tolist() == [one for one in ids if one in largest]
        np.testing.assert_array_equal(found["discharge"], every["discharge"].sel(reach=found["reach"]))
    assert _route(river, "more.nc", "--reaches", "largest:1000").exit_code == 0
    _same(river, "more.nc", ids)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("largest:0", r"--reaches: found 'largest:0'; expected largest:N, N being 1 or more"),
        ("largest:x", "expected largest:N"),
        ("largest:" + "9" * 5000, "expected largest:N"),
        ("no_such.csv", "expected ids such as 12,13, largest:N, or a table with a column reach_id"),
        (",".join(["x"] * 500), "expected ids such as 12,13"),
        ("", "expected ids such as 12,13"),
        ("1,,2", "expected ids such as 12,13"),
        ("999999,888888", r"found 2 reaches that the network lacks \(999999, 888888\)"),
        ("{folder}/empty.csv", "found no row; expected reach ids"),
        ("{folder}/other.csv", "reach_id"),
        ("{folder}/r.nc", "expected a table"),
    ],
)
def test_what_names_no_reach_is_one_line(river: River, word: str, said: str) -> None:
    (river.folder / "empty.csv").write_text("reach_id\n")
    (river.folder / "other.csv").write_text("gauge\n5\n")
    done = _route(river, "never.nc", "--reaches", word.format(folder=river.folder))
    assert done.exit_code == 2
    lines = done.output.strip().splitlines()
    assert len(lines) <= 2
    assert max(map(len, lines)) <= 300
    assert re.search(said, " ".join(lines)), lines
    assert not (river.folder / "never.nc").exists()


def test_the_table_is_not_overwritten(river: River) -> None:
    table = river.folder / "few.csv"
    table.write_text(f"reach_id\n{_ids(river)[0]}\n")
    link: Path = river.folder / "link.nc"
    link.unlink(missing_ok=True)
    link.symlink_to(table)
    done = _route(river, "link.nc", "--reaches", str(table))
    assert done.exit_code == 2
    assert "few.csv" in done.output
    assert table.read_text().startswith("reach_id")
