"""Inputs that would block, flood the terminal or end in a traceback: each ends with 2, in two short lines at most."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from rivergrad.cli import app
from rivergrad.cli.guard import MAX_LINE, exit_code, mendable, message, one_line_for_any
from rivergrad.errors import InputError, ids_text, shortened
from rivergrad.files import require_readable

NETWORK = "reach_id,downstream_id,length_m,lat\n1,2,1000,10\n2,3,1000,10\n3,-1,1000,10\n"
RUNOFF = "time,1,2,3\n" + "".join(f"2001-01-{day:02d},1,1,1\n" for day in range(1, 11))
PARAMETERS = "reach_id,k,x\n1,9000,0.2\n2,9000,0.2\n3,9000,0.2\n"
MANY = 3_000_000
TAIL = b"\0" * MANY


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RIVERGRAD_DEBUG", raising=False)
    for name, text in (("n.csv", NETWORK), ("r.csv", RUNOFF), ("p.csv", PARAMETERS)):
        Path(name).write_text(text)


def call(*args: str) -> Result:
    return CliRunner().invoke(app, list(args))


def refused(*args: str) -> str:
    result = call(*args)
    assert result.exit_code == 2, (result.exit_code, result.output[:2000], result.exception)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert 1 <= len(lines) <= 2
    assert max(map(len, lines)) <= MAX_LINE
    assert all(line.isprintable() for line in lines)
    return result.stderr


def route(*options: str, network: str = "n.csv", runoff: str = "r.csv") -> tuple[str, ...]:
    words = ("route", "--network", network, "--runoff", runoff, "--scheme", "muskingum", "--output", "q.nc")
    return (*words, *options)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)  # a path of a socket is short: relative to the current directory


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def circle(path: Path) -> None:
    path.symlink_to(path)


READERS: list[tuple[Callable[[str], tuple[str, ...]], str]] = [
    (lambda name: route(network=name), "x.csv"),
    (lambda name: route(network=name), "x.parquet"),
    (lambda name: route(network=name), "x"),
    (lambda name: route(runoff=name), "x.nc"),
    (lambda name: route(runoff=name), "x.csv"),
    (lambda name: route(runoff=name), "x.zarr"),
    (lambda name: route("--parameters", name), "x.nc"),
    (lambda name: route("--parameters", name), "x.csv.gz"),
    (lambda name: ("partition", "--network", name, "--parts", "2", "--output", "p.zarr"), "x.csv"),
    (lambda name: ("run", name), "x.yaml"),
    (lambda name: ("validate", name), "x.yaml"),
    (lambda name: ("submit", name, "--dry-run"), "x.yaml"),
    (lambda name: ("status", name), "x"),
    (lambda name: ("report", name), "x"),
    (lambda name: ("export", name, "--format", "csv", "--output", "o.csv"), "x"),
]


@pytest.mark.parametrize("make", [fifo, listening, device, circle], ids=lambda make: make.__name__)
@pytest.mark.parametrize(("command", "name"), READERS)
def test_what_is_no_file_is_refused_before_it_is_opened(
    command: Callable[[str], tuple[str, ...]], name: str, make: Callable[[Path], None]
) -> None:
    make(Path(name))
    refused(*command(name))


@pytest.mark.parametrize("inside", ["zarr.json", ".zgroup", ".zattrs", ".zmetadata"])
def test_a_pipe_inside_a_store(inside: str) -> None:
    Path("x.zarr").mkdir()
    fifo(Path("x.zarr", inside))
    assert "pipe" in refused(*route(runoff="x.zarr"))


def test_a_workflow_from_a_stream_is_read(tmp_path: Path) -> None:
    """`rivergrad validate <(cat w.yaml)` works: nothing is waited for that does not come."""
    text = "name: a\nworld: {spec: {seed: 1, reaches: 60, years: 1, start: 2001-01-01}}\n"
    text += "time: {routing_step: 6h, train: [2001-01-01, 2001-12-30]}\n"
    command = [sys.executable, "-m", "rivergrad.cli", "validate", "/dev/stdin"]
    result = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "x" * 5000, "a/" * 3000, "nix", "n.csv/below"])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(InputError) as error:
        require_readable(Path(path))
    assert len(str(error.value)) < 300


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_what_this_user_may_not_read(tmp_path: Path) -> None:
    Path("n.csv").chmod(0o600)
    code = "import os, sys; sys.argv[0] = 'x'; from pathlib import Path; from rivergrad.files import require_readable"
    code += "; os.setuid(65534); require_readable(Path('n.csv'))"
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and len(folder.parts) > 2:
            folder.chmod(0o755)
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.stderr.splitlines()[-1].endswith(
        "n.csv: permission denied; expected one that this user may read"
    )


NETWORKS: dict[str, bytes] = {
    "a tail of zeros": NETWORK.encode() + TAIL,
    "zeros": TAIL,
    "a huge number": NETWORK.encode() + b"4," + b"9" * MANY + b",1,1\n",
    "a huge text": NETWORK.encode() + b"x" * MANY + b",1,1,1\n",
    "a huge header": b"x" * MANY + b"," + NETWORK.encode(),
    "an id above 2**63": NETWORK.replace("3,-1", "9223372036854775808,-1").encode(),
    "an id above 2**64": NETWORK.replace("3,-1", "99999999999999999999,-1").encode(),
    "a latitude in words": NETWORK.replace("1000,10", "1000,north", 1).encode(),
    "escapes": NETWORK.replace("1,2,", "\x1b[2J\x1b]0;x\x07,2,").encode(),
    "lines in a cell": NETWORK.replace("1,2,", '"a\nb\nc\nd",2,').encode(),
    "many columns": ",".join(f"c{i}" for i in range(10_000)).encode() + b"\n",
    "UTF-16": NETWORK.encode("utf-16"),
    "an open quote": b'reach_id,downstream_id,length_m\n"1,2,3\n' * 1000,
}


@pytest.mark.parametrize("content", NETWORKS.values(), ids=NETWORKS)
def test_a_damaged_network(content: bytes) -> None:
    Path("x.csv").write_bytes(content)
    assert "x.csv" in refused(*route(network="x.csv"))
    assert not Path("q.nc").exists()


RUNOFFS: dict[str, bytes] = {
    "a tail of zeros": RUNOFF.encode() + TAIL,
    "an id above 2**63 in the header": RUNOFF.replace("time,1", "time,9223372036854775808").encode(),
    "an id of thousands of digits": RUNOFF.replace("time,1", "time," + "9" * 6000).encode(),
    "a huge header": RUNOFF.replace("time,1", "time," + "x" * MANY).encode(),
    "a huge date": RUNOFF.replace("2001-01-05", "x" * MANY).encode(),
    "a year of five digits": RUNOFF.replace("2001-01-10", "99999-01-01").encode(),
    "a word": RUNOFF.replace("2001-01-05,1", "2001-01-05,wet").encode(),
    "one row": RUNOFF.encode()[: RUNOFF.index("2001-01-02")],
}


@pytest.mark.parametrize("content", RUNOFFS.values(), ids=RUNOFFS)
def test_a_damaged_runoff(content: bytes) -> None:
    Path("x.csv").write_bytes(content)
    assert "x.csv" in refused(*route(runoff="x.csv"))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("reach_id", pd.array([1, None, 3], dtype="Int64")),
        ("reach_id", np.array([1, 2, 2**63 + 5], np.uint64)),
        ("reach_id", [[1], [2], [3]]),
        ("reach_id", pd.to_datetime(["2001-01-01"] * 3)),
        ("downstream_id", pd.array([2, 3, None], dtype="Int64")),
        ("lat", ["north" * 100_000, "b", "c"]),
    ],
)
def test_a_damaged_parquet(name: str, values: Any) -> None:
    table = pd.read_csv("n.csv")
    table[name] = values
    table.to_parquet("x.parquet")
    assert name in refused(*route(network="x.parquet"))


@pytest.mark.parametrize("value", ["-1", "0", "1000000000", str(2**63), "1" * 5000, "1e9", "x" * 100_000])
def test_numbers_of_parts_and_workers(value: str) -> None:
    refused(*route("--parts", value))
    if value != "0":
        refused(*route("--workers", value))
    refused("partition", "--network", "n.csv", "--output", "p.zarr", "--parts", value)


@pytest.mark.parametrize("step", ["-1h", "0h", "nan", "1" * 500 + "h", "1" * 5000 + "h", "1h\n2h", "inf s"])
def test_a_routing_step_that_is_none(step: str) -> None:
    assert "routing-step" in refused(*route("--routing-step", step))


def test_a_scheme_of_any_length() -> None:
    words = ("route", "--network", "n.csv", "--runoff", "r.csv", "--output", "q.nc", "--scheme")
    for name in ("", "x" * MANY, "muskingum\n", "\x1b[2J"):
        assert "scheme" in refused(*words, name)


def test_names_that_are_not_utf8() -> None:
    name = os.fsdecode(b"\xff")
    Path(f"{name}.csv").write_text(NETWORK)
    result = call(*route(network=f"{name}.csv"))
    assert result.exit_code == 0, result.output
    refused("run", f"{name}.yaml")
    words = route()[:-1]
    assert "UTF-8" in refused(*words, f"{name}.nc")


# --- how anything at all is told -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("short", ["short"]),
        ("one\ntwo", ["one", "two"]),
        ("one\ntwo\nthree", ["one two three"]),
        ("\x1b[2Ja\x07\tb\r", ["\\x1b[2Ja\\x07 b"]),
        ("a\udcffb", ["a\\udcffb"]),
    ],
)
def test_a_message_is_plain_text(text: str, lines: list[str]) -> None:
    assert message(text).split("\n") == lines


@pytest.mark.parametrize(
    "text", ["x" * 10**6, "word " * 10**5, "a\n" * 10**5, "x" * 301, "word " * 100, "é" * 999]
)
def test_a_message_is_two_short_lines(text: str) -> None:
    lines = message(f"begin {text} end").split("\n")
    assert len(lines) <= 2
    assert max(map(len, lines)) <= MAX_LINE
    assert lines[0].startswith("begin")
    assert lines[-1].endswith("end")


def test_nothing_is_lost_of_what_fits_on_two_lines() -> None:
    text = "word " * 100
    assert message(text).replace("\n", " ").split() == text.split()


def test_what_is_quoted_is_short() -> None:
    assert len(shortened("x" * MANY)) == 60
    assert shortened("short") == "short"
    assert len(ids_text("x" * MANY for _ in range(7))) < 400
    assert len(str(InputError("x" * MANY))) <= 1000


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        np._core._exceptions._ArrayMemoryError((10**12,), np.dtype("f8")),
        OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore\nmore"),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"
        ),
    ],
)
def test_memory_that_is_short(error: Exception) -> None:
    text = mendable(error)
    assert text is not None
    assert text.startswith("not enough memory: ")
    assert "\n" not in text


def test_a_name_that_cannot_be_written() -> None:
    with pytest.raises(UnicodeEncodeError) as error:
        "\ud800".encode()
    assert "expected another name" in str(mendable(error.value))


def test_a_fault_of_ours_is_a_line_and_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def fail() -> None:
        raise ZeroDivisionError("ours " * 1000)

    with pytest.raises(ZeroDivisionError):  # nothing that the user can mend
        exit_code(fail)
    with pytest.raises(SystemExit) as ended:
        one_line_for_any(fail)
    assert ended.value.code == 1
    said = capsys.readouterr().err.splitlines()
    assert 1 <= len(said) <= 2
    assert "internal error: ZeroDivisionError: ours" in said[0]
    kept = next(tmp_path.glob("rivergrad-traceback-*.txt"))
    assert "Traceback" in kept.read_text()
    assert "in fail" in kept.read_text()
    assert str(kept) in " ".join(said)

    monkeypatch.setenv("RIVERGRAD_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        one_line_for_any(fail)


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    line = line.replace("rivergrad", f"{sys.executable} -m rivergrad.cli")
    environment = {**os.environ, **environment}
    return subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, env=environment, timeout=120, check=False
    )


def test_closed_streams_and_narrow_terminals() -> None:
    assert shell("rivergrad --version >&-").returncode == 0
    found = shell("rivergrad validate nix.yaml 2>&-")
    assert (found.returncode, found.stdout) == (2, "")
    assert shell("rivergrad --version <&-").returncode == 0
    narrow = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    assert shell("rivergrad schema", **narrow).returncode == 0
    assert shell("rivergrad validate ö.yaml", **narrow).returncode == 2


def test_debug_shows_the_traceback() -> None:
    found = shell("rivergrad --debug validate nix.yaml")
    assert found.returncode == 2
    assert "Traceback" in found.stderr
    assert found.stderr.splitlines()[-1].startswith("rivergrad: error: nix.yaml: no such file")


def test_libraries_do_not_warn_beside_a_message() -> None:
    code = (
        "import sys; from rivergrad.cli.guard import settle_streams; settle_streams(); import warnings; "
        "warnings.warn('loud'); print('\\udcff \\ud800 é')"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120, check=False)
    assert found.stderr == b""
    assert found.stdout.startswith(b"\xff ")


def test_an_error_that_nobody_waits_for_is_no_traceback_beside_ours(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Zarr reads metadata of several arrays at once; where two are damaged, asyncio prints the second's traceback."""
    import asyncio
    import gc

    async def two() -> None:
        async def fails() -> None:
            raise KeyError("reach_id")

        task = asyncio.get_running_loop().create_task(fails())
        await asyncio.sleep(0)
        del task

    assert call("--version").exit_code == 0
    handler = logging.StreamHandler()  # as where no test listens
    logging.getLogger("asyncio").addHandler(handler)
    try:
        asyncio.run(two())
        gc.collect()
    finally:
        logging.getLogger("asyncio").removeHandler(handler)
    assert "Traceback" not in capfd.readouterr().err
