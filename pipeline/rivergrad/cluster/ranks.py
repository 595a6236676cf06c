"""The ranks of an MPI job: one leads, which is to carry out a command, and the others serve it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any, Literal

from rivergrad import registry
from rivergrad.cluster.liveness import AGAIN
from rivergrad.errors import InputError

ORDERS, REPLIES = 7101, 7102
"""Tags of messages from and to the leader."""
POLL_SECONDS = 0.05
"""How often a rank looks for a message: MPI's own waiting would keep a core busy."""
LOOK_SECONDS = 10.0
"""How often a rank with a worker looks whether the leader's scheduler is there."""
GONE_SECONDS = 60.0
"""How long the leader may be out of reach before a rank ends the job: not everything that starts ranks ends all with
one (srun does not by itself)."""


@dataclass(frozen=True)
class Join:
    """An order to serve a scheduler with a worker until the order to leave comes.

    Attributes:
        address: the scheduler's; interface: to listen on; security, settings: Dask's.
    """

    address: str
    interface: str
    security: Any
    settings: dict[str, Any]


Order = Join | Literal["leave", "end"]


class World:
    """MPI's world, as a leader and those who serve it see it."""

    def __init__(self, comm: Any) -> None:
        self._comm = comm
        self.rank = int(comm.Get_rank())
        self.size = int(comm.Get_size())

    def tell(self, order: Order) -> None:
        """Give an order to all other ranks."""
        for request in [
            self._comm.isend(order, dest=rank, tag=ORDERS) for rank in range(self.size) if rank != self.rank
        ]:
            request.wait()

    def problem(self) -> str | None:
        """What some rank could not do, if one has said so."""
        if not self._comm.iprobe(tag=REPLIES):
            return None
        return str(self._comm.recv(tag=REPLIES))

    def serve(self) -> None:
        """Do what the leader says until it says that it ends."""
        # those who end a job tell all its processes, but when a rank ends is for the leader to say
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        while True:
            while not self._ordered():
                time.sleep(POLL_SECONDS)
            order = self._comm.recv(source=0, tag=ORDERS)
            if order == "end":
                return
            if isinstance(order, Join):
                try:
                    asyncio.run(self._work(order))
                except LeaderGoneError as error:
                    print(f"rivergrad: error: rank {self.rank}: {error}", file=sys.stderr, flush=True)
                    self._comm.Abort(1)
                except Exception as error:
                    text = f"rank {self.rank}: {error or type(error).__name__}"
                    self._comm.send(text.splitlines()[0], dest=0, tag=REPLIES)

    def _ordered(self) -> bool:
        return bool(self._comm.iprobe(source=0, tag=ORDERS))

    async def _work(self, order: Join) -> None:
        import dask
        from distributed import Nanny

        from rivergrad.cluster.network import address_of
        from rivergrad.cluster.workerlog import quiet_console

        quiet_console()
        with dask.config.set(order.settings):
            async with Nanny(
                order.address,
                nthreads=1,
                name=self.rank,
                host=address_of(order.interface),
                protocol=order.address.partition("://")[0],
                security=order.security,
                dashboard_address=None,
                silence_logs=40,
            ):
                seen = looked = time.monotonic()
                while not self._ordered():
                    await asyncio.sleep(POLL_SECONDS)
                    if time.monotonic() - looked < LOOK_SECONDS:
                        continue
                    looked = time.monotonic()
                    if await _answers(order):
                        seen = looked
                    elif looked - seen > GONE_SECONDS:
                        raise LeaderGoneError(f"rank 0 is gone (killed, or out of reach); {AGAIN}")


class LeaderGoneError(Exception):
    """The rank that carries out the command does not answer any more."""


async def _answers(order: Join) -> bool:
    """Whether a scheduler can be reached."""
    from distributed.comm.core import connect

    arguments = {} if order.security is None else order.security.get_connection_args("worker")
    try:
        comm = await connect(order.address, timeout=LOOK_SECONDS, **arguments)
    except OSError:
        return False
    comm.abort()
    return True


def _short_addresses() -> None:
    """Have MPICH's own wheel exchange addresses of 16 bytes, not of 4 kB, with the Slurm that started this rank.

    srun reads at most 1,024 bytes of a line, and the wheel's UCX sends its address as lines of up to 1,070, depending
    on what lies in memory: about one start in hundreds then hangs until the job's time is up. Ranks only pass orders
    here, so the transport costs nothing. A choice of the user's, or another MPI, is left as it is.
    """
    if "SLURM_STEP_ID" in os.environ and "PMI_FD" in os.environ:
        with suppress(metadata.PackageNotFoundError):
            metadata.version("mpich")
            os.environ.setdefault("MPIR_CVAR_CH4_NETMOD", "ofi")


@cache
def world() -> World:
    """MPI's world, which this process joins if it has not.

    Raises:
        InputError: mpi4py is not installed, or finds no MPI.
    """
    _short_addresses()
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f"mpi needs mpi4py and an MPI library ({error}); expected them "
            "(pip install 'rivergrad[mpi]', or mpi4py built for this machine's MPI)",
            key="compute.kind",
        ) from None
    return World(MPI.COMM_WORLD)


def told_ranks() -> tuple[int, int]:
    """(rank, size) as the environment tells them: of mpiexec, or of a step that srun started; (0, 1) otherwise."""
    for rank, size in (
        ("PMI_RANK", "PMI_SIZE"),
        ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
        ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ):
        with suppress(KeyError, ValueError):
            return int(os.environ[rank]), int(os.environ[size])
    return 0, 1


@contextmanager
def leading(kind: str) -> Iterator[bool]:
    """Whether this process is to carry out its command; what else there is of the MPI job has served it by then.

    Args:
        kind: of the cluster (see `ClusterOptions`); those other than mpi have one process that leads.

    Raises:
        InputError: the same command was started in several ranks with another kind of cluster than mpi.
    """
    if not registry.entry("cluster", kind).facts.get("ranks"):
        rank, size = told_ranks()
        if size > 1 and rank > 0:
            yield False  # rank 0 says what is wrong
            return
        if size > 1:
            raise InputError(
                f"found {kind} in {size} MPI ranks, which would all do the same; expected kind mpi "
                "(--set compute.profile=configs/mpi.yaml), or a single process",
                key="compute.kind",
            )
        yield True
        return
    ranks = world()
    if ranks.rank > 0:
        ranks.serve()
        yield False
        return
    try:
        yield True
    finally:
        ranks.tell("end")
