"""Outlets under other signs than -1: 0, -9999, texts, empty cells, ids outside of the file."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pytest

from rivergrad.errors import InputError
from rivergrad.io import read_network


def write(path: Path, downstream: list[object], ids: tuple[int, ...] = (10, 20, 30)) -> Path:
    """A table of three reaches."""
    table = pd.DataFrame({"reach_id": ids, "downstream_id": downstream, "length_m": 1000.0})
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
@pytest.mark.parametrize(
    ("last", "outlets"),
    [
        (-1, ()),
        (0, ()),
        (-9999, ()),
        (-2, ()),
        (999, (999,)),
        (999, ("999",)),
        (999, ("outside",)),
        (999, (0, "outside")),
        (None, ("empty",)),
        (None, ("",)),
    ],
)
def test_an_outlet_by_any_sign(
    tmp_path: Path, suffix: str, last: int | None, outlets: tuple[int | str, ...]
) -> None:
    path = write(tmp_path / f"n.{suffix}", [30, 30, last])
    assert read_network(path, outlets=outlets).downstream.tolist() == [2, 2, -1]


@pytest.mark.parametrize("word", ["END", "ocean", " END "])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_an_outlet_by_a_text(tmp_path: Path, suffix: str, word: str) -> None:
    path = write(tmp_path / f"n.{suffix}", ["30", "30", word])
    assert read_network(path, outlets=[word.strip()]).downstream.tolist() == [2, 2, -1]
    with pytest.raises(InputError, match="expected an integer"):
        read_network(path)


def test_a_nullable_integer_column_with_an_empty_cell(tmp_path: Path) -> None:
    large = 2**62 + 1  # beyond what a float holds
    table = pd.DataFrame({"reach_id": [large, 7], "length_m": 1000.0})
    table["downstream_id"] = pd.array([None, large], dtype="Int64")
    table.to_parquet(tmp_path / "n.parquet", index=False)
    assert read_network(tmp_path / "n.parquet", outlets=["empty"]).downstream.tolist() == [-1, 0]
    with pytest.raises(InputError, match=r"'downstream_id' is empty in row 1.*--outlets empty"):
        read_network(tmp_path / "n.parquet")


def test_zero_is_a_reach_where_a_reach_has_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "n.csv", [0, 0, -1], ids=(10, 20, 0))
    assert read_network(path).downstream.tolist() == [2, 2, -1]
    assert not caplog.records
    with pytest.raises(InputError, match=r"reach id 0 exists.*--outlets"):
        read_network(path, outlets=[0])


def test_what_is_taken_as_an_outlet_unasked_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "rivergrad"):
        read_network(write(tmp_path / "n.csv", [0, -9999, 0]))
    assert "3 reaches flow into -9999, 0, which no reach is" in caplog.text


def test_an_unknown_id_above_0_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"30 -> 999.*--outlets outside.*network\.outlets"):
        read_network(write(tmp_path / "n.csv", [30, 30, 999]))
    with pytest.raises(InputError, match=r"30 -> 999"):
        read_network(tmp_path / "n.csv", outlets=[0, -9999])


def test_an_outlet_that_is_no_id(tmp_path: Path) -> None:
    path = write(tmp_path / "n.csv", [30, 30, -1])
    with pytest.raises(InputError, match=r"outlets: found 9223372036854775808"):
        read_network(path, outlets=[2**63])
    with pytest.raises(InputError, match="outlets: found 1"):
        read_network(path, outlets=["1" * 5000])


def test_outlets_of_a_rapid_folder(rapid_folder: Path) -> None:
    connect = rapid_folder / "rapid_connect.csv"
    text = connect.read_text().replace("999", "-77")
    connect.write_text(text)
    assert read_network(rapid_folder).downstream.tolist() == [1, 2, -1]
    assert read_network(rapid_folder, outlets=[-77]).downstream.tolist() == [1, 2, -1]
