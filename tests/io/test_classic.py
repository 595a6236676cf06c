"""NetCDF-3 files that were cut off: their library reads zeros there, without a word."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import netCDF4
import numpy as np
import pytest

from rivergrad.errors import InputError
from rivergrad.io.classic import require_whole

KINDS = ("i1", "i2", "f8", "f4", "S1")
FORMATS = ("NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA")


@pytest.mark.parametrize(("form", "count", "unlimited"), list(product(FORMATS, range(6), (True, False))))
def test_a_whole_file_passes_and_a_shorter_one_does_not(
    tmp_path: Path, form: str, count: int, unlimited: bool
) -> None:
    path = tmp_path / "a.nc"
    with netCDF4.Dataset(str(path), "w", format=form) as file:  # type: ignore[call-overload]
        file.createDimension("time", None if unlimited else 5)
        file.createDimension("x", 3)
        file.title = "of no use"
        for at, kind in enumerate(KINDS[:count]):
            dims = ("time", "x") if at % 2 == 0 else ("time",)
            variable = file.createVariable(f"v{at}", kind, dims)
            variable.units = "m"
            variable[:] = np.zeros((5, 3) if at % 2 == 0 else 5, dtype=kind)
        file.createVariable("w", "i2", ("x",))[:] = 1
    require_whole(path)
    path.write_bytes(path.read_bytes()[:-8])  # more than what the last value may be padded by
    with pytest.raises(InputError, match=r"a\.nc: has .* bytes and needs .* by its header"):
        require_whole(path)


def test_other_files_are_not_looked_at(tmp_path: Path) -> None:
    for data in (b"", b"CDF", b"CDF\x01", b"CDF\x02" + b"\xff" * 40, b"\x89HDF\r\n\x1a\n"):
        (tmp_path / "a.nc").write_bytes(data)
        require_whole(tmp_path / "a.nc")
