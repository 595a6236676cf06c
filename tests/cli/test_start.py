"""What a new user starts from: profiles by name, workflows to change, the demo; from anywhere."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rivergrad.cli import app
from rivergrad.config.load import load_workflow
from rivergrad.packaged import KINDS, demo_workflow, job_template, profile_names, profile_path

PROJECT = Path(__file__).parents[2]


def call(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, list(words))
    return found.exit_code, found.output


def test_without_a_command_there_is_help() -> None:
    assert call() == call("--help")
    code, said = call()
    assert code == 0
    assert "  demo " in said


@pytest.mark.parametrize("kind", KINDS)
def test_a_workflow_to_start_from_is_a_valid_one(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = call("init", kind)
    assert code == 0
    assert f"rivergrad validate {kind}.yaml" in said
    assert load_workflow(f"{kind}.yaml").name == kind
    text = Path(f"{kind}.yaml").read_text()
    code, said = call("init", kind)
    assert code != 0
    assert Path(f"{kind}.yaml").read_text() == text
    assert call("init", kind, "--output", "other.yaml")[0] == 0


def test_an_unknown_kind_is_refused() -> None:
    assert call("init", "planet")[0] == 2


def test_profiles_have_names_and_files_of_the_user_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert profile_names() == ["cuda", "local", "mpi", "serial", "slurm"]
    call("init", "basin")
    assert load_workflow("basin.yaml").compute.kind == "serial"
    assert load_workflow("basin.yaml", ["compute.profile=local"]).compute.workers == 2
    Path("mine.yaml").write_text("kind: local\nworkers: 3\n")
    assert load_workflow("basin.yaml", ["compute.profile=mine.yaml"]).compute.workers == 3
    Path("local").write_text("kind: local\nworkers: 4\n")
    assert profile_path("local") == Path("local")
    assert job_template().is_file()
    assert demo_workflow().is_file()


def test_the_demo_goes_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    few = (
        "world.spec.reaches=60",
        "world.spec.years=1",
        "world.spec.reach_length=50000.0",
        "estimate.steps=1",
    )
    time = (
        "time.train=[2001-01-01, 2001-12-30]",
        "time.test=null",
        "compute={profile: serial, dtype: float64}",
    )
    words = [word for one in (*few, *time, "uncertainty.enabled=false") for word in ("--set", one)]
    code, said = call("demo", "--output", "my demo", *words)
    assert code == 0, said
    assert said.splitlines()[-1] == "my demo"
    assert Path("my demo/report.html").is_file()
    assert list(tmp_path.iterdir()) == [tmp_path / "my demo"]


@pytest.mark.slow
def test_the_wheel_holds_them(tmp_path: Path) -> None:
    """Built from the project, read without it."""
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", str(tmp_path), str(PROJECT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "import rivergrad.packaged as p\n"
        "assert p.__file__.startswith(sys.argv[1])\n"
        "assert p.profile_names() == ['cuda', 'local', 'mpi', 'serial', 'slurm']\n"
        "assert all('profile:' in p.starting_workflow(kind) for kind in p.KINDS)\n"
        "own = p.demo_workflow(), p.job_template(), p.profile_path('slurm')\n"
        "assert all(str(one).startswith(sys.argv[1]) and one.is_file() for one in own)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(tmp_path / "site")],
        cwd=tmp_path,
        env={"PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
