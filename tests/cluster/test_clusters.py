"""The same small workflow on every kind of cluster, and what goes wrong when one is opened."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from cluster_runs import COMMAND, ENVIRONMENT, ROOT, estimate, same_results, write_workflow
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from distributed import LocalCluster

from rivergrad.cluster import handshake, ranks
from rivergrad.cluster.cluster import open_cluster
from rivergrad.cluster.clusters import slurm as slurm_jobs
from rivergrad.cluster.executor import open_executor
from rivergrad.cluster.options import ClusterOptions, Tls
from rivergrad.cluster.security import make_security
from rivergrad.errors import InputError


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workflow carried out by one process."""
    return estimate(tmp_path_factory.mktemp("serial") / "run", "compute.kind=serial")


@pytest.mark.slow
@pytest.mark.distributed
def test_local_workers(serial: Path, tmp_path: Path) -> None:
    """Two worker processes, encrypted, with dashboard and performance report."""
    run = estimate(
        tmp_path / "run",
        *("compute.profile=configs/local.yaml", "compute.tls=temporary"),
        *("compute.dashboard=true", "compute.performance_report=true"),
    )
    same_results(serial, run)
    assert "<title>Dask Performance Report</title>" in (run / "dask-report.html").read_text()
    found = json.loads((run / "workers" / "cluster.json").read_text())
    assert (found["kind"], found["workers"]) == ("local", ["0", "1"])
    assert found["dashboard"].startswith("http://127.0.0.1:")
    for name in ("0", "1"):
        assert f"worker {name}, process" in (run / "workers" / f"{name}.log").read_text()
    assert "tls://127.0.0.1" in (run / "workers" / "0.log").read_text()


@pytest.mark.slow
@pytest.mark.mpi
def test_ranks_of_mpi(serial: Path, tmp_path: Path) -> None:
    launcher = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert launcher is not None, "mpiexec is not there; the package mpich brings it"
    run = estimate(tmp_path / "run", "compute.profile=configs/mpi.yaml", before=[launcher, "-n", "4"])
    same_results(serial, run)
    assert sorted(path.stem for path in (run / "workers").glob("[0-9].log")) == ["0", "1", "2", "3"]


@pytest.fixture
def slurm() -> None:
    try:
        subprocess.run(["sinfo", "--noheader"], capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("no Slurm answers: start one with tests/slurm/cluster.sh start, and set SLURM_CONF")


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.usefixtures("slurm")
def test_jobs_of_slurm(serial: Path, tmp_path: Path) -> None:
    """Each worker in a job of its own."""
    run = estimate(
        tmp_path / "run",
        "compute.profile=configs/slurm.yaml",
        "compute.slurm.memory=1GB",
        "compute.tls=temporary",
    )
    same_results(serial, run)
    workers = json.loads((run / "workers" / "cluster.json").read_text())["workers"]
    assert workers == ["SLURMCluster-0", "SLURMCluster-1"]
    assert all((run / "workers" / f"{name}.log").stat().st_size > 0 for name in workers)


def rivergrad(*words: object) -> str:
    done = subprocess.run(
        [*COMMAND, *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=60, env=ENVIRONMENT, check=True
    )  # fmt: skip
    return done.stdout


def wait_until(what: str, there: Any, seconds: float = 200.0) -> None:
    last = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < last, f"not within {seconds} s: {what}"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.usefixtures("slurm")
def test_submitted_and_preempted(serial: Path, tmp_path: Path) -> None:
    """A job of two ranks on two nodes is told to stop, queues again, goes on, and ends as if nothing had been."""
    run = tmp_path / "run"
    submitted = rivergrad(
        *("submit", write_workflow(tmp_path), "--profile", "configs/mpi.yaml"),
        *("--set", f"output={run}", "--set", "compute.workers=2", "--set", "compute.slurm.memory=1GB"),
    )
    job = submitted.strip()
    log = run / "log.txt"
    try:
        wait_until("the first step", lambda: log.is_file() and "step 0" in log.read_text())
        subprocess.run(["scancel", "--signal=TERM", job], check=True)
        wait_until("a checkpoint", lambda: json.loads((run / "run.json").read_text())["status"] == "stopped")
        assert re.search(r"stopped by SIGTERM after step \d+, with a checkpoint", log.read_text())
        lines = rivergrad("status", run).splitlines()
        assert re.fullmatch(r"small: (starting|requeued|running), step 1?\d of 20.*", lines[0])
        assert re.fullmatch(rf"2 workers \(mpi\), Slurm job {job}: .+", lines[-1])
        wait_until("the end", lambda: json.loads((run / "run.json").read_text())["status"] == "done")
    finally:
        subprocess.run(["scancel", job], check=False)
    same_results(serial, run)
    said = (run / f"slurm-{job}.out").read_text()
    assert "stopped; queueing again" in said


class _OtherSource:
    """What `code_digest` is in this process, while workers still have the true one."""

    def __call__(self) -> str:
        return "other"

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (handshake, "code_digest")


@pytest.mark.distributed
def test_worker_with_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_cluster(ClusterOptions(workers=1)) as (client, _):
        monkeypatch.setattr(handshake, "code_digest", _OtherSource())
        with pytest.raises(
            InputError, match=r"has rivergrad 0\S+, source \w{8}, .* rivergrad 0\S+, source other"
        ):
            handshake.check_versions(client)
        monkeypatch.setattr("rivergrad.__version__", "9.9.9")
        with pytest.raises(
            InputError, match=r"worker tcp://127\S+ has rivergrad 0\S+, and this .* rivergrad 9\.9\.9;"
        ):
            handshake.check_versions(client)


class WithoutGpus(LocalCluster):
    """Takes what dask-cuda's cluster takes, and hands on what that hands on; there are no GPUs to bind workers to."""

    def __init__(
        self,
        n_workers: int,
        threads_per_worker: int,
        memory_limit: None,
        device_memory_limit: None,
        protocol: str,
        **more: Any,
    ) -> None:
        super().__init__(
            n_workers=n_workers,
            threads_per_worker=threads_per_worker,
            memory_limit=memory_limit,
            processes=True,
            protocol=protocol,
            **more,
        )


@pytest.mark.distributed
def test_one_worker_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setitem(sys.modules, "dask_cuda", types.SimpleNamespace(LocalCUDACluster=WithoutGpus))
    with open_executor(ClusterOptions("cuda")) as executor:
        assert len(set(executor.everywhere(os.getpid))) == 2
    with (
        pytest.raises(InputError, match="found 3 with kind cuda and 2 GPUs"),
        open_executor(ClusterOptions("cuda", workers=3)),
    ):
        pass
    monkeypatch.setitem(sys.modules, "dask_cuda", None)
    with (
        pytest.raises(InputError, match=r"needs the package dask-cuda; .*rivergrad\[cuda\]"),
        open_executor(ClusterOptions("cuda")),
    ):
        pass
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match="found cuda and no GPU"), open_executor(ClusterOptions("cuda")):
        pass


def refused(**options: Any) -> str:
    with pytest.raises(InputError) as error, open_executor(ClusterOptions(**{"workers": 1, **options})):
        pass
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_what_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for key, option in (("port", "port"), ("dashboard_port", "dashboard_port")):
            text = refused(**{option: port})
            assert text.startswith(f"compute.{key}: port {port} of 127.0.0.1: address already in use")
    assert refused(interface="ib7").startswith(
        "compute.interface: found 'ib7'; expected one with an IPv4 address: "
    )
    assert "compute.tls.ca:" in refused(tls=Tls(tmp_path / "ca", tmp_path / "cert", tmp_path / "key"))
    for name in ("ca", "cert", "key"):
        (tmp_path / name).write_text("nothing of the kind\n")
    (tmp_path / "key").chmod(0o600)
    assert "PEM files that belong together" in refused(
        tls=Tls(tmp_path / "ca", tmp_path / "cert", tmp_path / "key")
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "slurm needs sbatch" in refused(kind="slurm")


def test_jobs_that_cannot_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not waited for: ended ones, and those of other machines where the scheduler is on loopback."""

    def pretend(name: str, does: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)

    monkeypatch.setattr(slurm_jobs, "LOOK_SECONDS", 0.0)
    monkeypatch.setenv("PATH", str(tmp_path))
    cluster = types.SimpleNamespace(workers={0: types.SimpleNamespace(job_id="7")})
    here = socket.gethostname().partition(".")[0]
    running = 'case "$*" in *Format*) echo N/A RUNNING 0 None ;; *) echo n1 ;; esac'
    for squeue, host, interface, said in (
        (running, f"{here}.cluster", "lo", None),
        (running, "node7.cluster", "ib0", None),
        (running, "node7.cluster", "lo", f"job 7 runs on node7, which cannot reach interface lo of {here}"),
        ("echo N/A TIMEOUT 0 None", here, "lo", "job 7 is TIMEOUT"),
        ("exit 1", here, "lo", None),  # it does not answer
    ):
        pretend("squeue", squeue)
        pretend("scontrol", f"echo NodeName=n1 NodeAddr=10.0.0.7 NodeHostName={host} Version=23")
        assert slurm_jobs._Watch(cluster, interface).problem() == said


def certificate(folder: Path, name: str, issuer: str, days: tuple[int, int]) -> None:
    """A key and a certificate valid from and until days from now, signed by that of another name, or by itself."""
    now = datetime.datetime.now(datetime.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    private = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption())
    (folder / f"{name}-key.pem").write_bytes(pem)
    (folder / f"{name}-key.pem").chmod(0o600)
    signs = serialization.load_pem_private_key((folder / f"{issuer}-key.pem").read_bytes(), None)
    assert isinstance(signs, ec.EllipticCurvePrivateKey)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
        .sign(signs, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))


def test_certificates_that_do_not_serve(tmp_path: Path) -> None:
    """What is wrong with them is said before any process is started."""
    certificate(tmp_path, "ca", "ca", (-9, 9))
    certificate(tmp_path, "stranger", "stranger", (-9, 9))
    certificate(tmp_path, "good", "ca", (-9, 9))
    certificate(tmp_path, "old", "ca", (-9, -1))

    def tls(ca: str, name: str) -> Tls:
        return Tls(tmp_path / f"{ca}.pem", tmp_path / f"{name}.pem", tmp_path / f"{name}-key.pem")

    assert make_security(tls("ca", "good")).require_encryption
    assert re.search(
        r"compute\.tls\.cert: .*old\.pem: certificate has expired; expected", refused(tls=tls("ca", "old"))
    )
    said = refused(tls=tls("stranger", "good"))
    assert re.search(r"good\.pem: unable to get local issuer .* signed by .*stranger\.pem", said)
    assert "belong together" in refused(tls=Tls(*(tmp_path / f"{n}.pem" for n in ("ca", "good", "old-key"))))
    (tmp_path / "good-key.pem").chmod(0o640)
    assert "good-key.pem has mode 0640, which others may use; expected 0600" in refused(tls=tls("ca", "good"))


def test_ranks_of_slurm_send_short_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """MPICH's UCX sends lines that are too long for srun, now and then, and the job hangs; what users chose stays."""
    monkeypatch.setitem(sys.modules, "mpi4py", None)  # nobody joins a world here
    monkeypatch.setenv("MPIR_CVAR_CH4_NETMOD", "")  # so that it is put back as it was, whatever is set below

    def transport(**environment: str) -> str | None:
        ranks.world.cache_clear()
        for name in ("SLURM_STEP_ID", "PMI_FD", "MPIR_CVAR_CH4_NETMOD"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(InputError, match="mpi needs mpi4py"):
            ranks.world()
        return os.environ.get("MPIR_CVAR_CH4_NETMOD")

    monkeypatch.setattr(ranks.metadata, "version", lambda name: {"mpich": "5.0.2"}[name])
    assert transport(SLURM_STEP_ID="0", PMI_FD="3") == "ofi"
    assert transport(SLURM_STEP_ID="0", PMI_FD="3", MPIR_CVAR_CH4_NETMOD="ucx") == "ucx"
    assert transport(PMI_FD="3") is None  # mpiexec
    assert transport() is None

    def no_wheel(name: str) -> str:
        raise ranks.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(ranks.metadata, "version", no_wheel)
    assert transport(SLURM_STEP_ID="0", PMI_FD="3") is None  # this machine's own MPI


def test_ranks_without_mpi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    ranks.world.cache_clear()
    with pytest.raises(InputError, match=r"mpi needs mpi4py .*rivergrad\[mpi\]"), ranks.leading("mpi"):
        pass
    for rank in (0, 1):
        monkeypatch.setenv("PMI_RANK", str(rank))
        monkeypatch.setenv("PMI_SIZE", "4")
        if rank:  # says nothing: the first one does
            with ranks.leading("local") as leads:
                assert not leads
        else:
            with pytest.raises(InputError, match="found local in 4 MPI ranks"), ranks.leading("local"):
                pass
