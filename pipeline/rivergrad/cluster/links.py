"""Ways between workers of one machine by UCX: from the memory of one GPU into that of another.

A worker posts a message as soon as what it brings is there; the other takes it under a name that Dask told. UCX copies
between GPUs over NVLink where there is one. It has no part in Dask's own connections: its listeners would be open on
all interfaces. By Dask the workers tell each other where they are, and UCX keeps to the loopback.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import Tensor

from rivergrad.cluster.lost import WorkerLostError
from rivergrad.cluster.options import Ucx
from rivergrad.errors import InputError

log = logging.getLogger("rivergrad")

SETTINGS = {"cuda": {"TLS": "tcp,cuda_ipc,cuda_copy"}, "cpu": {"TLS": "tcp"}}
"""UCX's by device. Between processes it talks over the loopback: of its shared memory it would take the end of another
process for its own, and abort."""
GIVE_UP_SECONDS = 60.0
"""After how long a message that was announced counts as lost."""
TRY_SECONDS = 20.0
"""How long workers may take to hear each other for the first time."""
TRY_VALUES = 300_000
"""Numbers of the message that shows whether UCX works: more than go in one packet."""
CANCEL_NANOSECONDS = 100_000_000
"""How long UCX may take to let go of a message that will not come."""
LOOK_SECONDS = 2e-5
"""How often a message that is waited for is looked for."""


@dataclass(frozen=True)
class Parcel:
    """A message on its way: its name, and the shape and dtype (torch's name) of what it brings."""

    tag: int
    shape: tuple[int, ...]
    dtype: str


class Links:
    """What a worker has of UCX.

    UCX knows nothing of torch's streams. So the stream that makes a message is waited for before it is posted, and
    before memory is given to one that arrives, the stream that may still read what was there before. Other streams are
    not waited for: whole basins go on beside.

    Args:
        device: of the tensors; a GPU is this process's own.

    Attributes:
        device: of the tensors.
        address: what others connect to.
        sent, received: bytes that went by.
    """

    def __init__(self, device: str) -> None:
        # of a UCX without GPUs, to which ucxx gives settings for those
        os.environ.setdefault("UCX_WARN_UNUSED_ENV_VARS", "n")
        import ucxx
        from ucxx._lib import arr, libucxx

        self.device = torch.empty(0, device=device).device  # with its number
        self.version = str(ucxx.__ucx_version__)
        self.sent = self.received = 0
        self._ucx, self._array = libucxx, arr.Array
        self._use_device()
        features = (libucxx.Feature.TAG, libucxx.Feature.WAKEUP)
        settings = SETTINGS[self.device.type] | {"NET_DEVICES": "lo"}
        self._context = libucxx.UCXContext(settings, feature_flags=features)
        self._worker = libucxx.UCXWorker(self._context, enable_delayed_submission=True)
        self._worker.set_progress_thread_start_callback(self._use_device)
        self._worker.start_progress_thread(polling_mode=False, epoll_timeout=1)
        self.address = bytes(libucxx.UCXAddress.create_from_worker(self._worker).tobytes())
        self._others: dict[str, Any] = {}
        self._number = 0
        self._names = itertools.count(1)
        self._going: list[tuple[Any, Tensor]] = []
        self._coming: dict[int, tuple[Any, Tensor]] = {}
        self._taken: dict[int, int] = {}
        self._closed = False

    def _use_device(self) -> None:
        """Make the GPU this thread's."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
            torch.cuda.synchronize(self.device)

    def _wait_for_stream(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()

    def _buffer(self, values: Tensor) -> Any:
        return self._array(values if values.is_cuda else values.numpy())

    def connect(self, workers: Mapping[str, bytes]) -> None:
        """Open ways to the other workers, and exchange a message with each.

        Args:
            workers: UCX's address of each, this one too, by Dask's.

        Raises:
            RuntimeError: a message arrives as something else.
            WorkerLostError: one does not arrive.
        """
        ucx = self._ucx
        self._number = list(workers.values()).index(self.address)
        values = torch.arange(TRY_VALUES, dtype=torch.float32, device=self.device)[None]
        for worker, address in workers.items():
            if address != self.address:
                there = ucx.UCXAddress.create_from_buffer(np.frombuffer(address, np.uint8).copy())
                self._others[worker] = ucx.UCXEndpoint.create_from_worker_address(self._worker, there, True)
                self._post(worker, self._tag(self._number, 0), values + self._number)
        for number, worker in enumerate(workers):
            if worker in self._others:
                found = self.take(Parcel(self._tag(number, 0), (1, TRY_VALUES), "float32"), TRY_SECONDS)
                if not torch.equal(found, values + number):
                    raise RuntimeError(f"what worker {number} sent arrived as something else")
        self.sent = self.received = 0

    def reaches(self, worker: str) -> bool:
        """Whether there is a way to the worker of this address."""
        return worker in self._others

    @staticmethod
    def _tag(sender: int, name: int) -> int:
        return sender << 40 | name

    def _post(self, worker: str, tag: int, values: Tensor) -> None:
        self._wait_for_stream()
        self._going = [(request, kept) for request, kept in self._going if not request.completed]
        request = self._others[worker].tag_send(self._buffer(values), self._ucx.UCXXTag(tag))
        self._going.append((request, values))
        self.sent += values.nbytes

    def send(self, worker: str, values: Tensor) -> Parcel:
        """Send some series of one shape, (series, ...), to the worker of this address.

        Returns:
            What the other worker has to be told.
        """
        parcel = Parcel(
            self._tag(self._number, next(self._names)),
            tuple(values.shape),
            str(values.dtype).removeprefix("torch."),
        )
        self._post(worker, parcel.tag, values)
        return parcel

    def expect(self, parcel: Parcel) -> None:
        """Get ready for a message."""
        if parcel.tag in self._coming:
            return
        values = torch.empty(parcel.shape, dtype=getattr(torch, parcel.dtype), device=self.device)
        self._wait_for_stream()
        request = self._worker.tag_recv(self._buffer(values), self._ucx.UCXXTag(parcel.tag))
        self._coming[parcel.tag] = request, values
        self.received += values.nbytes

    def take(self, parcel: Parcel, patience: float = GIVE_UP_SECONDS) -> Tensor:
        """What a message brings; to be asked once for each of its series.

        Raises:
            WorkerLostError: it does not come.
        """
        self.expect(parcel)
        request, values = self._coming[parcel.tag]
        last = time.monotonic() + patience
        while not request.completed and time.monotonic() < last:
            time.sleep(LOOK_SECONDS)
        lost = WorkerLostError(f"boundary series of worker {parcel.tag >> 40} did not come")
        if self._closed or not request.completed:
            raise lost
        try:
            request.check_error()
        except Exception as error:  # of many kinds, all of which say this
            raise lost from error
        self._taken[parcel.tag] = self._taken.get(parcel.tag, 0) + 1
        if self._taken[parcel.tag] == parcel.shape[0]:
            del self._taken[parcel.tag], self._coming[parcel.tag]
        return values

    def close(self) -> None:
        """Wait for nothing any more."""
        if not self._closed:
            self._closed = True
            self._worker.cancel_inflight_requests(CANCEL_NANOSECONDS, 10)
            self._worker.stop_progress_thread()


_LINKS: dict[str, Links] = {}
"""What this process has of UCX, by run."""


@overload
def links_of(run: str) -> Links | None: ...
@overload
def links_of(run: str, sure: Literal[True]) -> Links: ...
def links_of(run: str, sure: bool = False) -> Links | None:
    """This worker's links in a run, None without.

    Raises:
        WorkerLostError: there are none, and there must be.
    """
    if sure and run not in _LINKS:
        raise WorkerLostError("boundary series are on their way to another process: a worker was lost")
    return _LINKS.get(run)


def open_links(run: str, device: str) -> tuple[bytes, str] | str:
    """This worker's address and the version of UCX, or what is wrong."""
    try:
        _LINKS[run] = links = Links(device)
    except Exception as error:  # whatever the libraries have against this machine: there is another way
        return _said(error)
    return links.address, links.version


def connect_links(run: str, workers: Mapping[str, bytes]) -> str | None:
    """Connect this worker to the others; what is wrong, if anything is."""
    try:
        links_of(run, sure=True).connect(workers)
    except Exception as error:
        return _said(error)
    return None


def close_links(run: str) -> None:
    """Let go of what this worker has of UCX."""
    links = _LINKS.pop(run, None)
    if links is not None:
        links.close()


def traffic() -> tuple[int, int]:
    """Bytes that this worker has sent and received by UCX."""
    return sum(one.sent for one in _LINKS.values()), sum(one.received for one in _LINKS.values())


def _said(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def link_workers(
    everywhere: Callable[..., list[Any]], run: str, workers: Sequence[str], device: str, ucx: Ucx
) -> None:
    """Connect the workers by UCX where that is wanted, and say in the log how boundary series go.

    Args:
        everywhere: calls a function on every worker.
        run: whose series; device: where they are.
        workers: their addresses, in that order.
        ucx: see `ClusterOptions`.

    Raises:
        InputError: it is wanted and does not work.
    """
    on_gpus = device.startswith("cuda")
    if ucx is False or (ucx == "auto" and not on_gpus):
        if on_gpus:
            log.info("boundary series go from worker to worker over the host, by Dask (UCX is off)")
        return
    version, problem = _linked(everywhere, run, workers, device)
    if problem is None:
        log.info("boundary series go from worker to worker by UCX %s, from device to device", version)
    elif ucx is True:
        raise InputError(f"compute.ucx: found true, but {problem}; expected UCX to work, or auto or false")
    else:
        log.info("boundary series go from worker to worker over the host, by Dask (%s)", problem)


def _linked(
    everywhere: Callable[..., list[Any]], run: str, workers: Sequence[str], device: str
) -> tuple[str, str | None]:
    """UCX's version, and what is wrong with it."""
    if find_spec("ucxx") is None:
        return "", "the package ucxx is not installed: pip install 'rivergrad[ucx]'"
    opened = everywhere(open_links, run, device)
    problems = [found for found in opened if isinstance(found, str)]
    if not problems:
        ways = {worker: address for worker, (address, _) in zip(workers, opened, strict=True)}
        problems = [found for found in everywhere(connect_links, run, ways) if found is not None]
    if problems:
        everywhere(close_links, run)
        return "", f"UCX does not work here: {problems[0]}"
    return str(opened[0][1]), None
