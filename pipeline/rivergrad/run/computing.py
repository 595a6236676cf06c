"""What a workflow is computed with: the engine, the partition, the threads, kernels that are compiled once."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from rivercut.network import RiverNetwork
from rivercut.partition import Partition, partition
from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError
from rivergrad.routing import choose_engine
from rivergrad.routing.recurrence.warm import compile_kernels
from rivergrad.run.inputs import Inputs
from rivergrad.run.lakes import scheme_for
from rivergrad.rundir.contents import WORKERS
from rivergrad.rundir.written import record_of

log = logging.getLogger("rivergrad")


def settle(config: Workflow) -> None:
    """Make this process compute the same bytes every time."""
    torch.set_num_threads(config.compute.threads_per_worker)
    # as use_deterministic_algorithms does, which imports the compiler of torch for it: 900 modules, some seconds
    torch.set_deterministic_debug_mode("error" if config.compute.device == "cpu" else "default")


def cut_network(config: Workflow, inputs: Inputs) -> Partition:
    """The partition that a workflow asks for."""
    section = config.partition
    shallow = section.shallow
    if shallow == "auto":
        shallow = config.compute.device == "cuda" and not section.spread
    return partition(
        inputs.network,
        section.parts,
        block_reaches=section.block_reaches,
        spread=section.spread,
        shallow=shallow,
        seed=config.seed,
    )


def engine_of(config: Workflow, network: RiverNetwork) -> str:
    """The engine that estimates; it and the reason go to the log."""
    scheme = scheme_for(config, network)
    engine, why = choose_engine(config.compute.engine, scheme, config.compute.device)
    if engine == "reference":
        raise InputError(
            "reference can't estimate across parts; expected auto, closure or recurrence",
            key="compute.engine",
        )
    log.info("engine %s: %s", engine, why)
    return engine


def note_workers(config: Workflow, run_dir: Path) -> None:
    """Record what workers will write by themselves."""
    if config.compute.cluster(run_dir).serial:
        return
    with record_of(run_dir) as record:
        assert record is not None
        record.note_folder(record.folder / WORKERS, "logs")


def compile_once(config: Workflow, engine: str) -> None:
    """Compile kernels in this process, which says so; else each local worker would compile them in silence."""
    compute = config.compute
    if compute.kind != "local" or engine != "recurrence" or compute.device != "cpu":
        return
    doubles = config.uncertainty.enabled or config.estimate.least_squares
    compile_kernels({getattr(torch, compute.dtype), *((torch.float64,) if doubles else ())})
