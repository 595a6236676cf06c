"""Pieces on GPUs: parameters, optimiser and routing there, the answers those of a CPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sweep_problems import Problem, ask, cuts, doubtful, moved, off, prepare, same, small_problem

from rivercut.partition import partition
from rivergrad.cluster.executor import open_executor
from rivergrad.cluster.options import ClusterOptions

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("engine", ["recurrence", "closure"])
def test_a_step_on_a_gpu_is_that_of_a_cpu(engine: str) -> None:
    one = doubtful(small_problem())
    whole = partition(one.network, 1)
    with open_executor(0) as executor:
        expected = ask(one, whole, executor, "float64", engine)
        # with basins cut, whole ones are routed beside the others
        for cut in (
            whole,
            cuts(one.network, 60)["2 parts, basins cut"],
            partition(one.network, 4, shallow=True),
        ):
            same(ask(one, cut, executor, "float64", engine, device="cuda"), expected, 1e-9)


def _moved(one: Problem, device: str, options: ClusterOptions | int, shallow: bool) -> dict[str, np.ndarray]:
    cut = partition(one.network, 4, shallow=shallow)
    with open_executor(options) as executor:
        sweep = prepare(one, cut, executor, "float64", device=device).sweep
        for _ in range(3):
            sweep.step(one.shared, one.windows)
        sweep.keep_best()
        state = sweep.collect(one.network.n_reaches)
        return state | sweep.physical(one.shared, one.network.n_reaches)


@pytest.mark.parametrize("shallow", [False, True])
def test_steps_of_gpu_workers_move_parameters_as_those_of_one_process_do(shallow: bool) -> None:
    """By dask-cuda, one worker a GPU there is."""
    pytest.importorskip("dask_cuda", reason="needs dask-cuda (rivergrad[cuda])")
    one = small_problem()
    one = replace(one, free=np.zeros_like(one.free))
    expected, alone = _moved(one, "cpu", 0, shallow), _moved(one, "cuda", 0, shallow)
    workers = ClusterOptions("cuda", torch.cuda.device_count(), threads=1)
    found = _moved(one, "cuda", workers, shallow)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], alone[name], err_msg=name)
        assert off(found[name], value) < 1e-7, name


def test_gpu_workers_send_each_other_series() -> None:
    """From the memory of one GPU over the host into that of another; the numbers are those of one process."""
    pytest.importorskip("dask_cuda", reason="needs dask-cuda (rivergrad[cuda])")
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    one = small_problem()
    one = replace(one, free=np.zeros_like(one.free))
    with open_executor(0) as alone:
        expected = moved(one, alone, "cuda")
    with open_executor(ClusterOptions("cuda", 2)) as executor:
        found = moved(one, executor, "cuda")
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
