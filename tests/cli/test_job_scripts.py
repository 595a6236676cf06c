"""What may stand in a job script: a template that reaches for more, text that would be more than a word."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rivergrad.cli import app
from rivergrad.errors import InputError
from rivergrad.run import template
from rivergrad.run.jobs import Ensemble
from rivergrad.run.template import fill_in

WORKFLOW = """\
name: basin
output: run
world: {spec: {seed: 1, reaches: 100, years: 1, start: 2001-01-01}}
time: {routing_step: 6h, train: [2001-01-01, 2001-12-30]}
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.yaml").write_text(WORKFLOW)
    (tmp_path / "profile.yaml").write_text("kind: local\nworkers: 1\n")
    (tmp_path / "job.sh.j2").write_text("#!/bin/sh\n# {{ name }}\n{{ command }}\n")


def submit(*settings: str, dry: bool = True) -> Result:
    words = ["submit", "w.yaml", "--profile", "profile.yaml", *(["--dry-run"] if dry else [])]
    return CliRunner().invoke(app, [*words, *(word for one in settings for word in ("--set", one))])


def refused(*settings: str) -> str:
    result = submit(*settings)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) <= 2
    return result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{% include '/etc/passwd' %}", "no loader"),
        ("{% import 'x' as y %}", "no loader"),
        ("{% extends 'x' %}", "no loader"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ command.__init__.__globals__ }}", "unsafe"),
        ("{{ cycler.__init__.__globals__.os.system('touch owned') }}", "unsafe"),
        ("{{ lipsum.__globals__['os'].popen('touch owned').read() }}", "undefined"),
        ("{{ directives.append('x') }}", "has no attribute|unsafe"),
        ("{{ 10 ** 10 ** 10 }}", "no powers"),
        ("{{ 'a' * 10000000000 }}", "more than a million"),
        ("{{ ['a'] * 10000000000 }}", "more than a million"),
        ("{{ 10000000000 * 'a' }}", "more than a million"),
        ("{% for i in range(10000000000) %}x{% endfor %}", "Range too big"),
        ("{{ 'a'.ljust(5000000) }}", "5000025 characters|characters that are no job script"),
        ("{{ 'a'.ljust(3000000000)|length }}", "more than 256 MB|took longer than 10 s"),
        ("{{ '%3000000000d'|format(1)|length }}", "more than 256 MB|took longer than 10 s"),
        ("{{ '{:>3000000000}'.format(1)|length }}", "more than 256 MB|took longer than 10 s"),
        (
            "{% set a = 'x' * 1000000 %}{{ a.replace('x', 'y' * 5000)|length }}",
            "more than 256 MB|took longer than 10 s",
        ),
        ("{{ [1]|batch(500000000, 'x')|list|length }}", "more than 256 MB|took longer than 10 s"),
        ("{{ 'x\ny'|indent(3000000000)|length }}", "more than 256 MB|took longer than 10 s"),
        ("{{ [['x'] * 1000000] * 1000000 }}", "more than 256 MB|took longer than 10 s"),
        (
            "{% set n = namespace(a=10) %}{% for i in range(40) %}{% set n.a = n.a * n.a %}{% endfor %}",
            "more than 18 digits",
        ),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ name", "unexpected|end of"),
        ("{{ nix }}", "'nix' is undefined"),
        ("a\0b", "no job script"),
    ],
)
def test_a_template_that_reaches_for_more(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.j2"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        fill_in(path, {"name": "n", "command": "c", "directives": ("d",)})
    assert str(error.value).startswith(str(path))
    assert not (tmp_path / "owned").exists()


def test_a_template_that_takes_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "SECONDS", 0.3)
    path = tmp_path / "t.j2"
    loop = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    path.write_text(loop)
    before, trace = time.monotonic(), sys.gettrace()
    with pytest.raises(InputError, match=r"took longer than 0\.3 s"):
        fill_in(path, {"name": "n"})
    assert time.monotonic() - before < 20
    assert sys.gettrace() is trace


def test_a_template_in_another_encoding_or_none_at_all(tmp_path: Path) -> None:
    path = tmp_path / "t.j2"
    path.write_bytes(b"\xff\xfe{{ name }}")
    with pytest.raises(InputError, match="UnicodeDecodeError"):
        fill_in(path, {"name": "n"})
    path.write_bytes(b" " * (template.SCRIPT_BYTES + 1))
    with pytest.raises(InputError, match="has 1048577 bytes"):
        fill_in(path, {"name": "n"})
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match="pipe"):
        fill_in(path, {"name": "n"})


def test_the_template_that_was_used_is_named() -> None:
    result = submit()
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines() == ["job script from the template job.sh.j2"]


def test_dry_run_executes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sbatch", "squeue", "sacct", "scontrol", "srun", "sh", "bash"):
        (programs / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/executed\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')\n")
    for settings in (
        ("compute.slurm.prologue=[mine]",),
        ("scheme={name: 'mine:Own', options: {a: 3}}",),
        ("scheme.name=mine:Own", "parameters.spreading={bounds: [0.1, 0.9], initial: 0.2}"),
        ("estimate.method=mine:Own",),
        ("estimate.loss=mine:own",),
        ("report.panels=['mine:Own']",),
    ):
        assert submit(*settings).exit_code == 0, settings
    assert "expected one of rivergrad's own" in refused("compute.kind=mine:start")
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "imported").exists()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ('compute.slurm.partition="a\\nb"', "partition"),
        ('compute.slurm.partition="a b"', "partition"),
        ("compute.slurm.partition=a;b", "partition"),
        ("compute.slurm.partition=$(touch owned)", "partition"),
        ("compute.slurm.partition='`x`'", "partition"),
        ('compute.slurm.partition=""', "partition"),
        ('compute.slurm.account="a\\n#SBATCH --uid=root"', "account"),
        ("compute.slurm.account='a\"b'", "account"),
        ('compute.slurm.directives=["--constraint=ib\\ntouch owned"]', "directives"),
        ('compute.slurm.directives=["touch owned"]', "directives"),
        ('compute.slurm.directives=["--a\\u2028b"]', "directives"),
        ('compute.slurm.prologue=["a\\rb"]', "prologue"),
        ('compute.slurm.prologue=["a\\eb"]', "prologue"),
        ('compute.slurm.launcher="srun\\ntouch owned"', "launcher"),
        ('compute.slurm.launcher=" "', "launcher"),
        ('name="a\\nb"', "name"),
        ('output="run\\ntouch owned"', "output"),
        ('output="run\\e[2J"', "output"),
    ],
)
def test_text_that_is_more_than_a_word(setting: str, named: str) -> None:
    assert named in refused(setting)


@pytest.mark.parametrize(
    "setting",
    [
        "compute.slurm.partition='night,day'",
        "compute.slurm.account=proj_1.x@y",
        "compute.slurm.directives=[--constraint=ib, '-C ib', '--comment=\"a b\"']",
        'compute.slurm.prologue=["module load mpi\\nexport A=\\"1\\"\\n\\tb"]',
        "compute.slurm.launcher='$MPI/bin/mpiexec -n 4'",
        "output=run of ünïcode's",
    ],
)
def test_text_that_is_fine(setting: str) -> None:
    result = submit(setting)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("numbers", ["0-999999999", "1" * 5000, "٣", "1-2\n", "a", "4-0", "0-4%0"])
def test_numbers_of_an_array(numbers: str) -> None:
    with pytest.raises(InputError, match="--seeds"):
        Ensemble("seeds", numbers)


SHADOW = "import pathlib; pathlib.Path('owned').touch()\n"
NAMES = (
    "numpy",
    "typer",
    "torch",
    "yaml",
    "socket",
    "random",
    "rivercut",
    "tempfile",
    "sitecustomize",
    "pydantic",
)


@pytest.mark.parametrize("how", ["job", "module", "package"])
def test_nothing_is_imported_from_the_current_directory(tmp_path: Path, how: str) -> None:
    """Data folders are shared; a `random.py` there is no module of Python's."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(SHADOW)
    if how == "job":
        words = submit().stdout.split("\\\n")[-1].split()
        assert words[:4] == [sys.executable, "-P", "-m", "rivergrad.cli"]
        command = [*words[:4], "validate", "w.yaml"]
    else:
        command = [
            sys.executable,
            "-m",
            "rivergrad.cli" if how == "module" else "rivergrad",
            "validate",
            "w.yaml",
        ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "owned").exists()


def test_workers_import_nothing_from_the_current_directory(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(SHADOW)
    (tmp_path / "n.csv").write_text("reach_id,downstream_id,length_m\n1,2,1000\n2,-1,1000\n")
    (tmp_path / "r.csv").write_text("time,1,2\n2001-01-01,1,1\n2001-01-02,1,1\n2001-01-03,1,1\n")
    words = ["route", "--network", "n.csv", "--runoff", "r.csv", "--scheme", "muskingum", "--output", "q.nc"]
    result = subprocess.run(
        [sys.executable, "-m", "rivergrad.cli", *words, "--workers", "1", "--engine", "closure"],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "owned").exists()
