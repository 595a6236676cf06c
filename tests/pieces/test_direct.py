"""Routing in this process without torch: the bytes of the general way, whatever is read, and errors of both threads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivercut.partition import partition
from rivergrad.errors import InputError
from rivergrad.io import open_runoff, write_runoff
from rivergrad.io.readers import HeldRunoff
from rivergrad.pieces import direct
from rivergrad.pieces.direct import Routing, chunk_of
from rivergrad.pieces.simulate import simulate as general
from rivergrad.routing import schemes

DAYS, N = 70, 40
SCHEMES = ("muskingum", "rapid", "linear_storage", "nash_cascade", "pure_lag", "capped")


def network() -> RiverNetwork:
    random = np.random.default_rng(3)
    down = [int(random.integers(i + 1, min(i + 5, N))) if i < N - 1 else -1 for i in range(N)]
    return RiverNetwork(np.arange(N) + 10, np.array(down), length=np.full(N, 5e3))


def times(days: int = DAYS) -> NDArray[np.datetime64]:
    return np.datetime64("2001-01-01", "ns") + np.arange(days) * np.timedelta64(1, "D")


def scheme(name: str) -> tuple[schemes.Scheme, dict[str, NDArray[np.float64]]]:
    random = np.random.default_rng(4)
    k, x, tau = random.uniform(3e4, 9e4, N), random.uniform(0.0, 0.3, N), random.uniform(2e4, 8e4, N)
    if name in ("muskingum", "rapid", "capped"):
        convention = "rapid" if name == "rapid" else "standard"
        return schemes.get("muskingum", convention, cap_x=name == "capped"), {"k": k, "x": x}
    return schemes.get(name), {"delay" if name == "pure_lag" else "tau": tau}


def routed(route: Any, name: str, runoff: Any, dtype: str, **options: Any) -> NDArray[Any]:
    chosen, parameters = scheme(name)
    found: list[NDArray[Any]] = []
    route(
        network=network(),
        runoff=runoff,
        parameters=parameters,
        how=Routing(chosen, 21600.0, "recurrence", "cpu", dtype),
        sink=lambda start, values: found.append(values),
        **options,
    )
    return np.concatenate(found)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SCHEMES)
def test_the_same_bytes_as_through_pieces_and_tensors(name: str, dtype: str) -> None:
    values = np.random.default_rng(5).gamma(0.5, 20.0, (DAYS, N)).astype(np.float32)
    runoff = HeldRunoff(times(), 86400.0, values)
    there = routed(general, name, runoff, dtype, chunk_steps=32)
    here = routed(direct.simulate, name, runoff, dtype, chunk_steps=32, threads=2)
    assert here.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(here, there)
    some = routed(direct.simulate, name, runoff, dtype, chunk_steps=32, targets=np.array([7, 2]))
    np.testing.assert_array_equal(some, there[:, [7, 2]])


def test_another_chunk_is_within_rounding() -> None:
    values = np.random.default_rng(5).gamma(0.5, 20.0, (DAYS, N))
    runoff = HeldRunoff(times(), 86400.0, values)
    whole = routed(direct.simulate, "rapid", runoff, "float32")
    for chunk in (1, 7, 33):
        found = routed(direct.simulate, "rapid", runoff, "float32", chunk_steps=chunk)
        assert np.linalg.norm(found - whole) < 1e-6 * np.linalg.norm(whole)


def test_any_other_way_of_computing_is_the_general_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("rivergrad.pieces.simulate.simulate", lambda **given: asked.append(given))
    runoff = HeldRunoff(times(), 86400.0, np.ones((DAYS, N)))
    given: dict[str, Any] = {"network": network(), "runoff": runoff, "sink": print}
    chosen, given["parameters"] = scheme("muskingum")
    here = Routing(chosen, 86400.0)
    direct.simulate(**given, how=Routing(chosen, 86400.0, "closure"))
    direct.simulate(**given, how=here, parts=2)
    direct.simulate(**given, how=here, cut=partition(network(), 1))
    direct.simulate(**given, how=here, cluster=1)
    direct.simulate(**given, how=here, something_new=3)
    assert len(asked) == 5
    assert asked[-1]["something_new"] == 3
    assert "threads" not in asked[-1]


def test_a_bad_value_behind_the_first_chunk_and_a_sink_that_fails_are_told(tmp_path: Path) -> None:
    values = np.ones((DAYS, N), np.float32)
    values[50, 3] = 1e15
    write_runoff(tmp_path / "runoff.nc", network().reach_id, times(), values)
    source = open_runoff(tmp_path / "runoff.nc", network())
    with pytest.raises(InputError, match=r"1e\+15.*reaches 13, first at 2001-02-20"):
        routed(direct.simulate, "rapid", source, "float32", chunk_steps=8)

    def full(start: int, discharge: NDArray[Any]) -> None:
        if start >= 16:
            raise OSError(28, "no space left on device")

    chosen, parameters = scheme("rapid")
    with pytest.raises(OSError, match="no space"):
        direct.simulate(
            network=network(),
            runoff=HeldRunoff(times(), 86400.0, np.ones((DAYS, N))),
            parameters=parameters,
            how=Routing(chosen, 86400.0),
            sink=full,
            chunk_steps=8,
        )


def test_chunks_fit_memory_kernel_and_file() -> None:
    assert chunk_of(67_420, 3652) == 64
    assert chunk_of(67_420, 50) == 50
    assert chunk_of(1_000_000, 400) == 32
    assert chunk_of(6_840_000, 400) == 32
    assert chunk_of(10, 5000) == 5000
    assert chunk_of(20_000, 4000) == 384


def test_a_route_on_a_cpu_does_not_import_torch(tmp_path: Path) -> None:
    table, runoff, out = tmp_path / "network.csv", tmp_path / "runoff.nc", tmp_path / "discharge.nc"
    table.write_text("reach_id,downstream_id,length_m\n10,11,1000\n11,-1,1000\n")
    write_runoff(runoff, np.array([10, 11]), times(5), np.ones((5, 2)))
    code = (
        "import sys\nfrom rivergrad.cli import app\n"
        f"app(['route', '--network', {str(table)!r}, '--runoff', {str(runoff)!r}, '--scheme', 'muskingum', "
        f"'--routing-step', '6h', '--output', {str(out)!r}], standalone_mode=False)\n"
        "slow = ('torch', 'scipy.spatial', 'distributed', 'matplotlib', 'zarr', 'pymetis', 'rich.progress')\n"
        "print([name for name in slow if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == [str(out), "[]"]
