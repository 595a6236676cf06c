"""Files that come with rivergrad: workflows to start from, profiles of clusters, the template of the job script.

In the wheel they lie in `rivergrad/data`; in a checkout, `workflows` and `configs` are the folders of the project.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"
KINDS = ("basin", "learned", "twin", "global")
"""Workflows that `rivergrad init` writes."""


def _folder(name: str) -> Path:
    return DATA / name if (DATA / name).is_dir() else HERE.parents[1] / name


def profile_names() -> list[str]:
    """The profiles that come with rivergrad: `local`, `slurm` …"""
    return sorted(path.stem for path in _folder("configs").glob("*.yaml"))


def profile_path(name: str | Path) -> Path:
    """A profile by its name, or by its path: a file of the user's wins."""
    path = Path(name)
    if path.is_file() or str(name) not in profile_names():
        return path
    return _folder("configs") / f"{name}.yaml"


def job_template() -> Path:
    """The template of the job script."""
    return _folder("configs") / "job.sh.j2"


def demo_workflow() -> Path:
    """The workflow of the demo, which needs no files."""
    return _folder("workflows") / "demo.yaml"


def starting_workflow(kind: str) -> str:
    """The commented text of a workflow to start from; `kind` is one of KINDS."""
    return (DATA / "init" / f"{kind}.yaml").read_text(encoding="utf-8")
