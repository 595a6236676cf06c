"""The command line: what each command hands on, prints, and says when something is to be mended."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner, Result

import rivergrad.report
from rivercut import store
from rivergrad.cli import app
from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError
from rivergrad.pieces.direct import Routing
from rivergrad.routing import schemes
from rivergrad.run.claim import alone_in

ROOT = Path(__file__).resolve().parents[2]
DEMO = str(ROOT / "workflows" / "demo.yaml")
COMMANDS = (
    "run",
    "estimate",
    "evaluate",
    "route",
    "partition",
    "validate",
    "schema",
    "export",
    "apply",
    "report",
    "status",
    "doctor",
    "submit",
)
BOUNDARIES = "reach_id,downstream_id,length_m\n1,2,1000\n2,3,1000\n3,-1,1000\n7,3,1500\n"
RUNOFF = (
    "time,1,2,3,7\n2000-01-01,1.0,0.5,0.25,4.0\n2000-01-02,2.0,0.5,0.25,4.0\n2000-01-03,3.0,0.5,0.25,4.0\n"
)


@pytest.fixture(autouse=True)
def _at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("RIVERGRAD_DEBUG", raising=False)


def call(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def refused(*args: str | Path) -> str:
    """What a command says that exits with 2: one or two lines, no traceback, nothing on standard output."""
    result = call(*args)
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert 1 <= len(lines) <= 2, result.stderr
    assert lines[0].startswith("rivergrad: error: ")
    assert "Traceback" not in result.stderr
    return result.stderr.removeprefix("rivergrad: error: ").rstrip("\n")


def replace_module(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
    module = ModuleType(name)
    for key, value in members.items():
        setattr(module, key, value)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "network.csv"
    path.write_text(BOUNDARIES)
    return path


# --- the whole ------------------------------------------------------------------------------------------


def test_all_commands_are_listed() -> None:
    result = call("--help")
    assert result.exit_code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = call(command, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: rivergrad {command}") or f" {command} " in result.stdout
    assert "--help" in result.stdout


def test_version() -> None:
    result = call("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("rivergrad ")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("rnu",), "No such command 'rnu'."),
        (("run",), "Missing argument 'W.yaml'."),
        (("run", DEMO, "--sett", "a=b"), "No such option: --sett"),
        (("run", "nix.yaml"), "nix.yaml: no such file or directory"),
        (("run", "workflows"), "workflows: is a directory"),
        (("run", DEMO, "--set", "estimate.stepz=3"), "unknown key; did you mean estimate.steps?"),
        (("validate", DEMO, "--set", "partition.parts=none"), "found 'none'; expected an integer"),
        (("partition", "--parts", "2"), "Missing option '--network'."),
        (
            ("partition", "--network", "n.csv", "--parts", "0", "--output", "p.zarr"),
            "Invalid value for '--parts'",
        ),
        (
            ("partition", "--network", "n.csv", "--parts", "2", "--output", "p.nc"),
            "a name that ends in .zarr",
        ),
        (("status", "nix"), "nix: no such run directory"),
        (("status", "docs"), "docs: not a run directory; expected a folder that holds run.json"),
        (("report", "nix"), "nix: no such run directory"),
        (("evaluate", "nix"), "nix: no such run directory"),
        (("export", "nix", "--format", "netcdf", "--output", "o.nc"), "nix: no such run directory"),
        (("export", "nix", "--as", "shp", "--output", "o.shp"), "nix: no such run directory"),
        (("submit", DEMO, "--profile", "nix.yaml"), "compute.profile: nix.yaml is not a file"),
        (
            ("submit", DEMO, "--profile", "configs/mpi.yaml"),
            f"{DEMO}: compute.workers: found 0 with kind mpi",
        ),
        (
            ("submit", DEMO, "--profile", "configs/mpi.yaml", "--set", "compute.workers=0"),
            "--set compute.workers=0: found 0 with kind mpi; expected the number of ranks",
        ),
        (("submit", DEMO, "--seeds", "1:4"), "--seeds: found '1:4'; expected numbers such as 0-4 or 1,3,7"),
    ],
)
def test_what_can_be_mended_is_said_in_a_line(args: tuple[str, ...], message: str) -> None:
    assert message in refused(*args)


# --- validate, schema, submit, doctor -------------------------------------------------------------------


def test_validate() -> None:
    result = call("validate", DEMO)
    assert result.exit_code == 0
    assert "valid (demo: muskingum, a generated world, run directory runs/demo)" in result.stdout


def test_validate_names_the_file_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVERGRAD_DATA", str(tmp_path))
    (tmp_path / "juniata").mkdir()
    (tmp_path / "juniata" / "network.csv").touch()
    message = refused("validate", ROOT / "workflows" / "juniata.yaml")
    assert f"runoff.path: {tmp_path}/juniata/runoff.nc is not there (nor is " in message
    (tmp_path / "juniata" / "runoff.nc").touch()
    (tmp_path / "juniata" / "discharge.nc").touch()
    assert call("validate", "--no-data", ROOT / "workflows" / "juniata.yaml").exit_code == 0
    assert "juniata/network.csv" in refused("validate", ROOT / "workflows" / "juniata.yaml")


ON_REAL_DATA = [path for path in sorted((ROOT / "workflows").glob("*.yaml")) if path.stem != "global"]
"""The workflow `global` reads a world that is generated: see test_world.py."""


@pytest.mark.parametrize("path", ON_REAL_DATA, ids=lambda path: path.stem)
def test_validate_shipped_workflows_on_real_data(
    path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIVERGRAD_DATA", str(data_dir))
    result = call("validate", path)
    assert result.exit_code == 0, result.stderr


def test_schema_is_json() -> None:
    result = call("schema")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads(json.dumps(Workflow.model_json_schema()))


def test_submit_prints_the_script(tmp_path: Path) -> None:
    words = ("submit", DEMO, "--dry-run", "--set", f"output={tmp_path / 'a run'}")
    result = call(*words, "--profile", "configs/mpi.yaml", "--set", "compute.workers=6", "--set",
                  "compute.slurm={partition: night, time: 90min, notice: 5min, directives: [--constraint=ib], "
                  "prologue: [module load mpi]}")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")} == {
        "--job-name=demo",
        f"--output='{tmp_path / 'a run'}/slurm-%j.out'",
        "--open-mode=append",
        "--nodes=1-6",
        "--ntasks=6",
        "--cpus-per-task=1",
        "--mem-per-cpu=4000M",
        "--time=0-01:30:00",
        "--requeue",
        "--signal=B:USR1@300",
        "--partition=night",
        "--constraint=ib",
    }
    assert lines.index("module load mpi") < lines.index(
        "srun --mpi=pmi2 --cpus-per-task=1 --kill-on-bad-exit=1 \\"
    )
    assert subprocess.run(["bash", "-n"], input=result.stdout, text=True, check=False).returncode == 0
    assert list(tmp_path.iterdir()) == []

    array = call(*words, "--profile", "configs/local.yaml", "--seeds", "0-4%2").stdout
    for line in (
        "#SBATCH --array=0-4%2",
        "#SBATCH --cpus-per-task=2",
        "#SBATCH --ntasks=1",
        "srun --ntasks=1 --cpus-per-task=2 \\",
    ):
        assert line in array.splitlines()
    assert (
        f"--set seed=$SLURM_ARRAY_TASK_ID --set 'output={tmp_path}/a run/seed-'$SLURM_ARRAY_TASK_ID" in array
    )


def test_submit_folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An array of the folds, and the whole once they have ended well."""
    words = (
        "submit",
        DEMO,
        "--folds",
        "--set",
        f"output={tmp_path / 'run'}",
        "--profile",
        "configs/local.yaml",
    )
    assert "--folds: found gauges.folds 0; expected" in refused(*words)
    pretend(tmp_path, "sbatch", f'cat > /dev/null; echo "$*" >> {tmp_path}/calls; echo 7')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    words = (*words, "--set", "gauges.folds=5", "--set", "gauges.holdout=0.0")
    assert call(*words).stdout == "7\n"
    script = tmp_path / "run" / "job.sh"
    assert (tmp_path / "calls").read_text().splitlines() == [
        "--parsable",
        "--parsable --dependency=afterok:7 --kill-on-invalid-dep=yes",
    ]
    array, whole = call(*words, "--dry-run").stdout.split("\n#!/usr/bin/env bash\n")
    assert "#SBATCH --array=1-5" in array
    assert "--fold $SLURM_ARRAY_TASK_ID &" in array
    assert "requeue ${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}" in array
    assert script.read_text() == "#!/usr/bin/env bash\n" + whole
    assert (tmp_path / "run" / "job-array.sh").read_text() == array

    pretend(
        tmp_path, "sbatch", 'cat > /dev/null; case "$*" in *afterok*) echo no >&2; exit 1 ;; esac; echo 8'
    )
    pretend(tmp_path, "scancel", f'echo "$*" > {tmp_path}/cancelled')
    assert "Slurm refused the job (--dry-run prints its script): no" in refused(
        *words, "--set", f"output={tmp_path}/2/x"
    )
    assert (tmp_path / "cancelled").read_text() == "8\n"  # all of it or none
    assert not (tmp_path / "2").exists()


def test_a_job_goes_on_only_from_new_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to stop it queues again; but where all of its time brought no checkpoint, the next time would not either."""
    run, late = tmp_path / "a run", "compute.slurm.prologue=[SECONDS=100000]"
    pretend(tmp_path, "squeue", "echo RUNNING")
    pretend(tmp_path, "scontrol", f'echo "$*" > {tmp_path}/asked')
    pretend(tmp_path, "go", "exit 75")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    words = ("submit", DEMO, "--dry-run", "--profile", "configs/mpi.yaml", "--set", "compute.workers=2")
    words = (*words, "--set", "compute.slurm.launcher=go", "--set", f"output={run}")
    in_vain = "no checkpoint within the time limit"
    scripts = {setting: call(*words, "--set", setting).stdout for setting in ("seed=2", late)}
    for setting, works, code, said in (
        ("seed=2", "", 75, "stopped; queueing again"),
        (late, "", 75, in_vain),
        (late, "echo > c/step-000004.npz", 75, "stopped; queueing again"),
        ("seed=2", "", 137, "killed (out of memory?) before any new checkpoint"),
        ("seed=2", "echo > c/step-000008.npz", 137, "stopped; queueing again"),
        (late, "", 2, ""),
    ):
        script = scripts[setting]
        (run / "c").mkdir(parents=True, exist_ok=True)
        pretend(tmp_path, "go", f"cd '{run}'; {works}\nexit {code}")
        done = subprocess.run(["bash"], input=script, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stderr
        assert (tmp_path / "asked").exists() == ("again" in said)
        assert said in done.stdout
        assert said or not done.stdout
        (tmp_path / "asked").unlink(missing_ok=True)
    assert "compute.slurm: found notice 7200 s with time 3600 s" in refused(
        *words, "--set", "compute.slurm.notice=2h"
    )


def test_submit_takes_another_template(tmp_path: Path) -> None:
    template = tmp_path / "mine.sh.j2"
    words = ("submit", DEMO, "--dry-run", "--set", f"compute.slurm.template={template}")
    assert "mine.sh.j2 is not a file" in refused(*words)
    template.write_text("#!/bin/sh\n# {{ name }} {{ nix }}\n")
    assert "mine.sh.j2: 'nix' is undefined; expected a template of these names: name, log" in refused(*words)
    template.write_text("#!/bin/sh\n# {{ name }}\n")
    assert call(*words).stdout == "#!/bin/sh\n# demo\n"


def pretend(programs: Path, name: str, does: str) -> None:
    """Put a program of a queue into a folder."""
    (programs / name).write_text(f"#!/bin/sh\n{does}\n")
    (programs / name).chmod(0o755)


def test_submit_and_status_with_a_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Slurm's own commands say is told: here, of ones that only pretend."""
    run, programs = tmp_path / "run", tmp_path / "bin"
    programs.mkdir()
    words = ("submit", DEMO, "--set", f"output={run}", "--profile", "configs/local.yaml")
    monkeypatch.setenv("PATH", str(programs))
    assert "sbatch is not in PATH" in refused(*words)
    assert not run.exists()

    pretend(programs, "sbatch", "echo 'Invalid account' >&2; exit 1")
    assert "Slurm refused the job (--dry-run prints its script): Invalid account" in refused(*words)
    assert not run.exists()
    pretend(programs, "sbatch", "echo '17;cluster'; echo 'budget is low' >&2")
    submitted = call(*words)
    assert submitted.stdout == "17\n"
    assert submitted.stderr.splitlines() == [
        "budget is low",
        "job script from the template configs/job.sh.j2",
        f"rivergrad status {run}",
    ]
    assert (run / "job.sh").read_text().startswith("#!/usr/bin/env bash")

    def status(queue: str) -> list[str]:
        pretend(programs, "squeue", f"echo {queue}")
        return call("status", run).stdout.splitlines()

    assert status("'N/A PENDING 0 Resources'") == ["run: queued, step 0", "Slurm job 17: PENDING (Resources)"]
    assert (
        f"{run}: Slurm job 17 of this run is PENDING (Resources); expected it to end (scancel 17)"
        in refused(*words)
    )
    assert status("N/A RUNNING 0 None")[0] == "run: starting, step 0"
    assert status("N/A CANCELLED 0 None") == ["run: cancelled, step 0", "Slurm job 17: CANCELLED"]
    (run / "run.json").write_text('{"name": "demo", "status": "running"}')
    assert status("N/A RUNNING 0 None")[0] == "demo: running, step 0"
    assert status("N/A PENDING 1 BeginTime") == [
        "demo: requeued, step 0", "Slurm job 17: PENDING (BeginTime), queued again once"
    ]  # fmt: skip
    for slurm, said in (
        ("OUT_OF_MEMORY", "out of memory"),
        ("TIMEOUT", "timeout"),
        ("NODE_FAIL", "node fail"),
    ):
        assert status(f"N/A {slurm} 2 None") == [
            f"demo: {said}, step 0", f"Slurm job 17: {slurm}, queued again 2 times"
        ]  # fmt: skip
    (run / "run.json").write_text('{"name": "demo", "status": "stopped"}')
    assert (
        status("N/A TIMEOUT 0 None")[0] == "demo: timeout, step 0"
    )  # in the time that Slurm leaves before it kills
    for slurm, said in (("FAILED", "stopped"), ("COMPLETING", "stopped"), ("RUNNING", "starting")):
        assert status(f"N/A {slurm} 0 None")[0] == f"demo: {said}, step 0"
    (run / "run.json").write_text('{"name": "demo", "status": "running"}')
    pretend(programs, "squeue", "exit 1")  # it has forgotten the job: the accounting may know it
    pretend(programs, "sacct", "echo '17|CANCELLED by 1000'")
    assert call("status", run).stdout.splitlines()[0] == "demo: cancelled, step 0"
    (programs / "sacct").unlink()
    assert "Slurm job 17: no longer in the queue" in call("status", run).stdout

    lock = {"host": socket.gethostname(), "process": 1, "job": None}
    (run / ".lock").write_text(json.dumps(lock))
    assert call("status", run).stdout.splitlines()[0] == "demo: killed, step 0"  # nobody holds it
    with alone_in(run):
        assert call("status", run).stdout.splitlines()[0] == "demo: running, step 0"
        assert (
            f"{run}: process {os.getpid()} of {socket.gethostname()} works there; expected it to end"
            in refused(*words)
        )
        assert f"{run}: process {os.getpid()} of" in refused(
            "estimate", DEMO, "--fresh", "--set", f"output={run}"
        )
    assert (run / "run.json").exists()
    # seen from another machine, where no lock may be seen: its Slurm job tells
    (run / ".lock").write_text(json.dumps({"host": "elsewhere", "process": 1, "job": "9"}))
    pretend(programs, "squeue", "echo N/A RUNNING 0 None")
    assert f"{run}: process 1 of elsewhere, Slurm job 9 works there" in refused(*words)


def test_status_of_an_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    pretend(tmp_path, "sbatch", "echo 17")
    pretend(tmp_path, "squeue", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    words = (
        "submit",
        DEMO,
        "--set",
        f"output={run}",
        "--profile",
        "configs/local.yaml",
        "--seeds",
        "0,2-3%2",
    )
    assert call(*words).exit_code == 0
    (run / "seed-0").mkdir()
    (run / "seed-0" / "run.json").write_text('{"name": "demo", "status": "done"}')
    pretend(
        tmp_path,
        "squeue",
        "echo 0 COMPLETED 0 None; echo 2 RUNNING 1 None; echo 3 PENDING 0 JobArrayTaskLimit",
    )
    assert call("status", run).stdout.splitlines() == [
        "run: seeds 0,2-3%2 in Slurm job 17: 1 done, 1 starting, 1 queued",
        "  seed 0: done, step 0, Slurm job 17_0: COMPLETED",
        "  seed 2: starting, step 0, Slurm job 17_2: RUNNING, queued again once",
        "  seed 3: queued, step 0, Slurm job 17_3: PENDING (JobArrayTaskLimit)",
    ]


def test_doctor() -> None:
    result = call("doctor")
    assert result.exit_code == 0, result.stderr
    rows = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert rows["python"].startswith(".".join(map(str, sys.version_info[:3])))
    for name in ("torch", "dask", "zarr", "cuda", "cores", "memory"):
        assert name in rows
    assert 1 <= int(rows["cores"]) <= (os.cpu_count() or 1)
    assert rows["torch"][0].isdigit()


def test_doctor_names_no_folder_of_developers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """But the interpreter's own, and those that it looks at: the current directory, and that of temporary files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RIVERGRAD_DATA", raising=False)
    result = call("doctor")
    kept = (str(tmp_path), sys.executable, tempfile.gettempdir())
    for line in result.stdout.splitlines():
        for one in kept:
            line = line.replace(one, "")
        assert str(Path(__file__).resolve().parents[2]) not in line
        assert "shared" not in line


def test_doctor_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from rivergrad.cli import doctor

    monkeypatch.setattr(doctor, "PACKAGES", (*doctor.PACKAGES, "no-such-package"))
    result = call("doctor")
    assert result.exit_code == 2
    assert "package no-such-package is missing" in result.stderr


def test_doctor_finds_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    from rivergrad.cli.doctor import write_problem

    assert write_problem(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    assert write_problem(tmp_path / "nix") == "no such file or directory"


# --- run, estimate, evaluate, report, status ------------------------------------------------------------


def test_run_hands_on_the_workflow_and_ends_with_the_run_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Workflow, dict[str, Any]]] = []

    def run_workflow(config: Workflow, **options: Any) -> Path:
        calls.append((config, options))
        print("baselines and scores")
        return config.output

    replace_module(monkeypatch, "rivergrad.run.workflow", run_workflow=run_workflow)
    result = call("run", DEMO, "--set", "estimate.steps=3", "--set", "output=/tmp/a b", "--fresh")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "/tmp/a b"
    call("run", DEMO)
    call("estimate", DEMO)
    assert [options for _, options in calls] == [
        {"fresh": True},
        {"fresh": False},
        {"fresh": False, "report": False},
    ]
    assert calls[0][0].estimate.steps == 3
    assert calls[1][0].estimate.steps != 3


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            InputError("n.csv: reach 3 flows into itself; expected a forest"),
            2,
            "n.csv: reach 3 flows into itself",
        ),
        (InputError("one\ntwo\nthree"), 2, "one two three"),
        (
            OSError(28, "No space left on device", "runs/demo/x.zarr"),
            2,
            "runs/demo/x.zarr: no space left on device",
        ),
        (PermissionError(13, "Permission denied", b"/root/x"), 2, "/root/x: permission denied"),
        (OSError("a NetCDF error"), 2, "a NetCDF error"),
        (KeyboardInterrupt(), 130, "rivergrad: interrupted"),
    ],
)
def test_how_a_run_that_fails_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException, code: int, message: str
) -> None:
    def run_workflow(config: Workflow, **options: Any) -> Path:
        raise error

    replace_module(monkeypatch, "rivergrad.run.workflow", run_workflow=run_workflow)
    # whatever `make demo` has left under the name that the workflow gives
    result = call("run", DEMO, "--set", f"output={tmp_path / 'run'}")
    assert result.exit_code == code
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_after_ctrl_c_the_line_that_resumes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    steps = []

    def run_workflow(config: Workflow, **options: Any) -> Path:
        for step in steps:
            config.output.joinpath("checkpoints").mkdir(parents=True)
            config.output.joinpath("checkpoints", f"step-{step:06d}.npz").touch()
        raise KeyboardInterrupt

    replace_module(monkeypatch, "rivergrad.run.workflow", run_workflow=run_workflow)
    words = ("run", DEMO, "--set", f"output={tmp_path / 'a run'}", "--fresh")
    assert call(*words).stderr.splitlines() == ["rivergrad: interrupted"]  # there is nothing to go on from
    steps.append(2)
    assert call(*words).stderr.splitlines() == [
        f"goes on from the last checkpoint: rivergrad run {DEMO} --set 'output={tmp_path / 'a run'}'",
        "rivergrad: interrupted",
    ]


def test_after_ctrl_c_a_fold_goes_on_as_a_fold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run_fold(config: Workflow, fold: int) -> Path:
        (config.output / "folds" / str(fold) / "checkpoints").mkdir(parents=True)
        (config.output / "folds" / str(fold) / "checkpoints" / "step-000002.npz").touch()
        raise KeyboardInterrupt

    replace_module(monkeypatch, "rivergrad.run.workflow", run_fold=run_fold, run_workflow=None)
    settings = (f"output={tmp_path / 'run'}", "gauges.holdout=0", "gauges.folds=3")
    said = call("run", DEMO, *(word for one in settings for word in ("--set", one)), "--fold", "2").stderr
    assert said.splitlines()[0].endswith("--set gauges.folds=3 --fold 2")


def test_traceback_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVERGRAD_DEBUG", "1")
    result = call("validate", "nix.yaml")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1] == "rivergrad: error: nix.yaml: no such file or directory"


def test_a_mistake_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_workflow(config: Workflow, **options: Any) -> Path:
        raise ZeroDivisionError("ours")

    replace_module(monkeypatch, "rivergrad.run.workflow", run_workflow=run_workflow)
    result = call("run", DEMO)
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


def test_evaluate_report_and_status_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.json").write_text('{"name": "demo", "status": "finished"}')
    (tmp_path / "history.csv").write_text("step,loss,validation_nse,seconds\n10,0.5,0.6,3\n20,0.25,0.7,6\n")
    shutil.copy(DEMO, tmp_path / "config.yaml")
    seen: list[Path] = []

    def write_report(run: Path, maps: str) -> Path:
        seen.append(run)
        return run / "report.html"

    replace_module(monkeypatch, "rivergrad.run.evaluate", evaluate_run=seen.append)
    monkeypatch.setattr(rivergrad.report, "write_report", write_report, raising=False)
    evaluated, reported, status = (
        call("evaluate", tmp_path),
        call("report", tmp_path),
        call("status", tmp_path),
    )
    assert (evaluated.exit_code, reported.exit_code, status.exit_code) == (0, 0, 0)
    assert seen == [tmp_path, tmp_path]
    assert reported.stdout.strip() == str(tmp_path / "report.html")
    assert status.stdout.splitlines()[:2] == [
        "demo: finished, step 20 of 12",
        "loss 0.25, validation NSE 0.7",
    ]


# --- partition, route, export: on files -----------------------------------------------------------------


def test_partition_writes_and_prints(network: Path, tmp_path: Path) -> None:
    output = tmp_path / "p.zarr"
    result = call("partition", "--network", network, "--parts", "2", "--output", output, "--spread")
    assert result.exit_code == 0, result.stderr
    for name in ("parts", "reaches", "blocks", "cost balance", "cut edges", "boundary reaches", "time"):
        assert name in result.stdout
    partition = store.read_partition(output)
    assert partition.n_parts == 2
    assert sorted(partition.order) == [0, 1, 2, 3]
    assert result.stdout.splitlines()[-1] == str(output)


def test_partition_of_a_cycle_writes_nothing(tmp_path: Path) -> None:
    network, output = tmp_path / "n.csv", tmp_path / "p.zarr"
    network.write_text("reach_id,downstream_id,length_m\n1,2,1000\n2,1,1000\n")
    message = refused("partition", "--network", network, "--parts", "2", "--output", output)
    assert "1" in message
    assert "2" in message
    assert list(tmp_path.iterdir()) == [network]


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replaces the simulation by one that passes the runoff through, a chunk of two times at a time."""
    calls: list[dict[str, Any]] = []

    def simulate(**options: Any) -> None:
        calls.append(options)
        steps = len(options["runoff"].time)
        for start in range(0, steps, 2):
            options["sink"](start, options["runoff"].read(None, start, min(start + 2, steps)))

    monkeypatch.setattr("rivergrad.pieces.direct.simulate", simulate)
    return calls


def test_route_hands_on_and_writes(
    network: Path, tmp_path: Path, simulated: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    runoff, output, parameters = tmp_path / "r.csv", tmp_path / "q.nc", tmp_path / "p.csv"
    runoff.write_text(RUNOFF)
    parameters.write_text("reach_id,k,x\n7,700,0.07\n3,300,0.03\n2,200,0.02\n1,100,0.01\n")
    result = call(
        *("route", "--network", network, "--runoff", runoff, "--scheme", "muskingum", "--output", output),
        *("--parameters", parameters, "--routing-step", "15min", "--convention", "rapid", "--parts", "3"),
        *("--workers", "2", "--engine", "reference", "--dtype", "float64", "--chunk-steps", "2"),
    )
    assert result.exit_code == 0, result.stderr
    options = simulated[0]
    np.testing.assert_array_equal(options["parameters"]["k"], [100, 200, 300, 700])  # by id, in network order
    np.testing.assert_array_equal(options["parameters"]["x"], [0.01, 0.02, 0.03, 0.07])
    expected = {
        "how": Routing(schemes.get("muskingum", "rapid"), 900.0, "reference", "cpu", "float64"),
        "parts": 3,
        "cluster": 2,
        "chunk_steps": 2,
    }
    assert {key: options[key] for key in expected} == expected
    assert result.stdout.splitlines()[-1] == str(output)
    with xr.open_dataset(output) as data:
        assert data["discharge"].dims == ("time", "reach")
        np.testing.assert_allclose(
            data["discharge"], [[1, 0.5, 0.25, 4], [2, 0.5, 0.25, 4], [3, 0.5, 0.25, 4]]
        )
        assert str(data["time"].values[2])[:10] == "2000-01-03"


def test_route_without_parameters_says_what_it_takes(
    network: Path, tmp_path: Path, simulated: list[dict[str, Any]]
) -> None:
    runoff, output = tmp_path / "r.csv", tmp_path / "q.zarr"
    runoff.write_text(RUNOFF)
    result = call(
        *("route", "--network", network, "--runoff", runoff, "--scheme", "linear_storage", "--output", output)
    )
    assert result.exit_code == 0, result.stderr
    assert simulated[0]["how"].engine == "recurrence"
    assert "engine recurrence: linear_storage has a rational transfer function" in result.stderr
    tau = simulated[0]["parameters"]["tau"]
    assert tau.shape == (4,)
    assert (
        f"no --parameters: every reach has the defaults of linear_storage, tau = {tau[0]:g} s"
        in result.stderr
    )
    assert output.is_dir()


def test_route_that_fails_leaves_nothing(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runoff, output = tmp_path / "r.csv", tmp_path / "q.nc"
    runoff.write_text(RUNOFF)

    def simulate(**options: Any) -> None:
        options["sink"](0, options["runoff"].read(None, 0, 2))
        raise OSError(28, "No space left on device", str(output))

    monkeypatch.setattr("rivergrad.pieces.direct.simulate", simulate)
    result = call(
        *("route", "--network", network, "--runoff", runoff, "--scheme", "muskingum", "--output", output)
    )
    assert result.exit_code == 2
    assert "no space left" in result.stderr.splitlines()[-1].lower()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network.csv", "r.csv"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--scheme": "muskingham"}, "did you mean muskingum?"),
        ({"--scheme": "hayami", "--convention": "rapid"}, "convention rapid belongs to the scheme muskingum"),
        ({"--routing-step": "900"}, "--routing-step: found '900'; expected a duration such as 900s"),
        ({"--routing-step": "0s"}, "--routing-step: found 0s; expected a duration longer than 0s"),
        ({"--output": "q.txt"}, "--output q.txt: expected a name that ends in .nc or .zarr"),
        ({"--engine": "warp"}, "Invalid value for '--engine'"),
        ({"--engine": "recurrence", "--scheme": "hayami"}, "scheme hayami has no rational transfer function"),
        ({"--network": "nix.csv"}, "nix.csv: no such network file"),
        ({"--runoff": "nix.nc"}, "nix.nc"),
        ({"--parameters": "nix.csv"}, "nix.csv: no such parameter file"),
    ],
)
def test_route_refuses(
    network: Path,
    tmp_path: Path,
    simulated: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.csv").write_text(RUNOFF)
    options = {
        "--network": "network.csv",
        "--runoff": "r.csv",
        "--scheme": "muskingum",
        "--output": "q.nc",
        **changes,
    }
    assert message in refused("route", *[text for option in options.items() for text in option])
    assert simulated == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network.csv", "r.csv"]


def test_export(tmp_path: Path) -> None:
    from rivergrad.io import write_parameters_store

    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text('{"name": "demo", "status": "finished"}')
    assert "parameters.zarr" in refused("export", run, "--format", "csv", "--output", tmp_path / "p.csv")
    write_parameters_store(run / "parameters.zarr", np.array([5, 9]), {"k": np.array([3600.0, 7200.0])})
    assert "ends in .nc" in refused("export", run, "--format", "netcdf", "--output", tmp_path / "p.csv")
    result = call("export", run, "--format", "netcdf", "--output", tmp_path / "p.nc")
    assert result.exit_code == 0, result.stderr
    with xr.open_dataset(tmp_path / "p.nc", decode_timedelta=False) as data:
        np.testing.assert_array_equal(data["k"], [3600.0, 7200.0])
        assert data["k"].attrs["units"] == "s"


# --- as a process ---------------------------------------------------------------------------------------


def process(*args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rivergrad.cli", *args]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, timeout=120, **options)


def test_a_process_exits_with_2_and_a_line() -> None:
    result = process("validate", DEMO, "--set", "time.trian=3", stdout=subprocess.PIPE)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == ("rivergrad: error: --set time.trian=3: unknown key; did you mean time.train?\n")


def test_a_reader_that_has_had_enough_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        result = process("schema", stdout=write)
    finally:
        os.close(write)
    assert result.stderr == ""
    assert result.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output() -> None:
    with Path("/dev/full").open("w") as full:
        result = process("schema", stdout=full)
    assert result.returncode == 2
    assert result.stderr.splitlines()[0] == "rivergrad: error: No space left on device"


def test_help_is_quick_because_it_imports_little() -> None:
    code = (
        "import sys, rivergrad.cli; heavy = {'torch', 'numba', 'pandas', 'xarray', 'dask', 'pydantic'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == "[]"


def test_the_installed_command_is_this_one() -> None:
    command = shutil.which("rivergrad", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("rivergrad is not installed beside this Python")
    result = subprocess.run([command, "nix"], capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("rivergrad: error: No such command 'nix'.")
