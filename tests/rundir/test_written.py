"""The record of a run directory: what `--fresh` removes."""

from __future__ import annotations

from pathlib import Path

from rivergrad.io import atomic_path
from rivergrad.rundir.written import record_of


def test_a_folder_of_logs_goes_with_what_the_run_wrote_in_it(tmp_path: Path) -> None:
    """What is left of it would be a stranger to the next run, which then refuses to write there."""
    with record_of(tmp_path) as record:
        assert record is not None
        record.note_folder(tmp_path / "workers", "logs")
        with atomic_path(tmp_path / "workers" / "cluster.json") as temporary:
            temporary.write_text("{}")
        record.clear()
    assert not (tmp_path / "workers").exists()
    with record_of(tmp_path) as record:
        assert record is not None
        record.note_folder(tmp_path / "workers", "logs")


def test_a_folder_of_logs_stays_with_somebody_elses_file(tmp_path: Path) -> None:
    with record_of(tmp_path) as record:
        assert record is not None
        record.note_folder(tmp_path / "workers", "logs")
        with atomic_path(tmp_path / "workers" / "cluster.json") as temporary:
            temporary.write_text("{}")
        (tmp_path / "workers" / "notes.txt").write_text("mine")
        record.clear()
    assert [path.name for path in (tmp_path / "workers").iterdir()] == ["notes.txt"]
    with record_of(tmp_path) as record:
        assert record is not None
        record.require_ours()  # and the next run goes on beside it
        record.note_folder(tmp_path / "workers", "logs")
