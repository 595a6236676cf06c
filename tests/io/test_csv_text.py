"""The text of a CSV is looked at before it is parsed: what is no table ends at once, what is one is read as it was."""

from __future__ import annotations

import gzip
import io
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rivergrad.errors import InputError
from rivergrad.io import csvtext
from rivergrad.io.series import read_series
from rivergrad.io.tables import column_names, read_table

LONG = 100_000_000


def zipped(text: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("n.csv", text)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("digits.csv", b"1" * LONG, "first line has more than"),
        ("commas.csv", b"1," * (LONG // 2), "first line has more than"),
        ("few.csv", b"," * (csvtext.MOST_COLUMNS + 1) + b"\n", "500,002 columns"),
        ("cell.csv", b"a," + b"x" * 200_000 + b"\n1,2\n", "cell of more than"),
        ("zeros.csv.gz", gzip.compress(bytes(LONG), 1, mtime=0), "first line has more than"),
        ("zip.csv", zipped(b"a\n1\n"), "a zip archive"),
        ("gz.csv", gzip.compress(b"a\n1\n", mtime=0), r"a name that ends in \.csv\.gz"),
        ("parquet.csv", b"PAR1....PAR1", r"ends in \.parquet"),
        ("hdf.csv", b"\x89HDF\r\n\x1a\n", r"ends in \.nc"),
        ("utf16.csv", "a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("utf16be.csv", "a,b\n1,2\n".encode("utf-16-be"), "zero bytes"),
        ("latin.csv", "größe,b\n1,2\n".encode("latin-1"), "cannot be read as CSV"),
        ("empty.csv", b"", "cannot be read as CSV"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.endswith((".csv", ".gz")) else "",
)
def test_what_is_no_table_ends_at_once(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)
    began = time.process_time()
    with pytest.raises(InputError, match=rf"{name}: .*{words}"):
        read_table(tmp_path / name)
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize("packed", [False, True])
def test_more_text_than_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    path = tmp_path / ("n.csv.gz" if packed else "n.csv")
    text = b"a,b\n" + b"1,2\n" * 1_000_000
    path.write_bytes(gzip.compress(text) if packed else text)
    assert len(read_table(path)) == 1_000_000
    memory = {"SC_PAGE_SIZE": 1024, "SC_PHYS_PAGES": 2048}
    monkeypatch.setattr(csvtext.os, "sysconf", memory.__getitem__)
    with pytest.raises(InputError, match=f"{path.name}: holds more text than this machine has memory"):
        read_table(path)


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n",
        "\ufeffa,b\n1,2\n",
        "\n\n   \na,b\n1,2\n",
        '"a","b"\n1,2\n',
        "a,b\r\n1,2\r\n",
        "a,b\r1,2\r",
        " a , b \n1,2\n",
        "a,b,\n1,2,\n",
        "a,b\n1,2",
    ],
)
def test_spellings_of_a_header(tmp_path: Path, text: str) -> None:
    for name, data in (("t.csv", text.encode()), ("t.csv.gz", gzip.compress(text.encode()))):
        (tmp_path / name).write_bytes(data)
        table = read_table(tmp_path / name, needs=("a", "b"))
        assert (list(table.columns), table.to_numpy().tolist()) == (["a", "b"], [[1, 2]])
        assert column_names(tmp_path / name) == ["a", "b"]


def test_missing_columns_are_told_before_rows_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("reach,b\n" + "no row," * 9)
    pd.DataFrame({"reach": [1.0]}).to_parquet(tmp_path / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        with pytest.raises(InputError, match="column 'reach_id' is missing"):
            read_table(tmp_path / name, needs=("reach_id",))


def test_a_folder_name_adds_no_column(tmp_path: Path) -> None:
    """Data sets of Parquet take `length_m=7` in a path for a column; a file is what it holds."""
    folder = tmp_path / "length_m=7"
    folder.mkdir()
    pd.DataFrame({"reach_id": [1, 2]}).to_parquet(folder / "t.parquet")
    assert list(read_table(folder / "t.parquet").columns) == ["reach_id"]


@pytest.mark.parametrize("name", ["r.csv", "r.parquet"])
def test_wide_tables_of_many_reaches(tmp_path: Path, name: str) -> None:
    """Thousands of columns of integers and floats, with gaps: as exact as one by one, and soon."""
    values = np.random.default_rng(0).normal(size=(4, 5000))
    values[2, 7] = np.nan
    table = pd.DataFrame(values, columns=[str(i) for i in range(5000)])
    table["17"] = np.arange(4)
    table.insert(0, "time", pd.date_range("2001-01-01", periods=4).astype(str))
    table.to_parquet(tmp_path / name) if name.endswith("parquet") else table.to_csv(
        tmp_path / name, index=False
    )
    series = read_series(tmp_path / name, "runoff", complete=True)
    order = np.argsort(series.reach_id)
    expected = np.column_stack([values[:, :17], np.arange(4), values[:, 18:]])
    np.testing.assert_array_equal(series.values[:, order], expected)
