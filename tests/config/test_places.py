"""Relative paths in a workflow begin in its folder; what is not there is looked for in the current directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from rivergrad.config.load import input_files, load_workflow, require_files, source_files
from rivergrad.config.places import READ
from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError

TEXT = """
name: basin
network: {path: network.csv}
runoff: {path: [runoff/*.nc], weights: [w.csv]}
observations: {path: gauges.csv, stations: stations.csv}
time: {routing_step: 1h, train: [2001-01-01, 2001-12-31], test: [2002-01-01, 2002-12-31]}
compute: {profile: mine.yaml}
"""
FILES = ("network.csv", "runoff/a.nc", "w.csv", "gauges.csv", "stations.csv")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The workflow's folder with all its files, and the current directory, which is another one."""
    own, here = tmp_path / "own", tmp_path / "here"
    for folder in (own, here):
        (folder / "runoff").mkdir(parents=True)
    for name in FILES:
        (own / name).touch()
    (own / "mine.yaml").write_text("kind: serial\ntls: {ca: ca.pem, cert: c.pem, key: k.pem}\n", "utf-8")
    (own / "basin.yaml").write_text(TEXT, "utf-8")
    monkeypatch.chdir(here)
    return own, here


@pytest.mark.parametrize("relative", [False, True], ids=["absolute", "relative"])
def test_files_lie_in_the_folder_of_the_workflow(folders: tuple[Path, Path], relative: bool) -> None:
    own = Path("../own") if relative else folders[0]
    workflow = load_workflow(own / "basin.yaml")
    require_files(workflow, "basin.yaml")
    found = {path.resolve() for path in input_files(workflow).values()}
    assert found == {(folders[0] / name).resolve() for name in FILES}
    assert workflow.compute.kind == "serial"
    assert source_files(own / "basin.yaml") == [own / "basin.yaml", own / "mine.yaml"]
    assert workflow.output == Path("runs/basin")  # what is written begins where one is


def test_files_of_the_current_directory_are_found_as_before(folders: tuple[Path, Path]) -> None:
    own, here = folders
    for name in (*FILES, "mine.yaml"):
        (own / name).rename(here / name)
    workflow = load_workflow(own / "basin.yaml")
    require_files(workflow, "basin.yaml")
    assert workflow.network is not None
    assert workflow.network.path == Path("network.csv")


def test_the_folder_of_the_workflow_comes_first(folders: tuple[Path, Path]) -> None:
    own, here = folders
    (here / "network.csv").touch()
    network = load_workflow(own / "basin.yaml").network
    assert network is not None
    assert network.path == own / "network.csv"


def test_paths_of_the_command_line_begin_in_the_current_directory(folders: tuple[Path, Path]) -> None:
    own, _ = folders
    network = load_workflow(own / "basin.yaml", ["network.path=network.csv"]).network
    assert network is not None
    assert network.path == Path("network.csv")


def test_in_the_current_directory_paths_stay_as_written(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folders[0])
    for workflow in (load_workflow("basin.yaml"), load_workflow(folders[0] / "basin.yaml")):
        assert workflow.network is not None
        assert workflow.network.path == Path("network.csv")


def test_the_configuration_of_a_run_is_read_as_it_was_written(folders: tuple[Path, Path]) -> None:
    """A run directory may hold a file of the same name as one that its workflow read."""
    own, _ = folders
    (own / "basin.yaml").rename(own / "config.yaml")
    (own / "run.json").write_text("{}", "utf-8")
    (folders[1] / "mine.yaml").write_text("kind: serial\n", "utf-8")
    network = load_workflow(own / "config.yaml").network
    assert network is not None
    assert network.path == Path("network.csv")


def test_what_is_in_neither_is_said(folders: tuple[Path, Path]) -> None:
    own, _ = folders
    (own / "gauges.csv").unlink()
    with pytest.raises(
        InputError, match=r"gauges\.csv is not there; expected it in the workflow's folder or the"
    ):
        require_files(load_workflow(own / "basin.yaml"), "basin.yaml")


def test_every_key_that_names_a_file_is_known() -> None:
    def paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
        for name, field in model.model_fields.items():
            if "Path" in str(field.annotation):
                yield prefix + name
            for kind in (field.annotation, *get_args(field.annotation)):
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    yield from paths(kind, f"{prefix}{name}.")

    assert set(paths(Workflow)) - {"output"} == set(READ)
