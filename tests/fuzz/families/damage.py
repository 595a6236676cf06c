"""Files that were cut off, overwritten or flipped: never a traceback, a flood or a hang, and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from tests.fuzz import arrays, inputs
from tests.fuzz.answers import Nothing, Routed, Whole
from tests.fuzz.readers import (
    ESTIMATE,
    OBSERVATIONS,
    RUNOFF,
    route,
    save,
    write_rapid,
)
from tests.fuzz.registry import Expect, Mutation, either, refused, same

RIGHT = Routed(inputs.routed(inputs.runoff()))


def mutations() -> Iterator[Mutation]:
    """All of the family."""
    yield from _runoff_files()
    yield from _stores()
    yield from _other_files()
    yield from _no_files()


def cut(share: float) -> Callable[[bytes], bytes]:
    """The first part of the bytes."""
    return lambda data: data[: int(len(data) * share)]


def zeros(share: float) -> Callable[[bytes], bytes]:
    """As many bytes, zero from there on: what a crash of the system leaves."""

    def change(data: bytes) -> bytes:
        at = int(len(data) * share)
        return data[:at] + bytes(len(data) - at)

    return change


def flip(share: float) -> Callable[[bytes], bytes]:
    """One bit of one byte."""

    def change(data: bytes) -> bytes:
        at = min(int(len(data) * share), len(data) - 1)
        return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]

    return change


def noise(seed: int) -> Callable[[bytes], bytes]:
    """A hundred bytes in the middle, random."""

    def change(data: bytes) -> bytes:
        at = len(data) // 2
        other = np.random.default_rng(seed).integers(0, 256, 100, dtype=np.uint8).tobytes()
        return data[:at] + other + data[at + 100 :]

    return change


def tail(data: bytes) -> bytes:
    """Four million bytes of zeros after the end."""
    return data + bytes(4_000_000)


def hole(data: bytes) -> bytes:
    """Zeros in the middle."""
    third = len(data) // 3
    return data[:third] + bytes(third) + data[2 * third :]


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": cut(0.0),
    "cut_1": cut(0.02),
    "cut_25": cut(0.25),
    "cut_50": cut(0.5),
    "cut_75": cut(0.75),
    "cut_99": cut(0.99),
    "zeros_0": zeros(0.0),
    "zeros_50": zeros(0.5),
    "zeros_90": zeros(0.9),
    "hole": hole,
    "tail": tail,
    "flip_1": flip(0.002),
    "flip_10": flip(0.1),
    "flip_40": flip(0.4),
    "flip_60": flip(0.6),
    "flip_80": flip(0.8),
    "flip_99": flip(0.995),
    "noise_1": noise(1),
    "noise_2": noise(2),
    "doubled": lambda data: data + data,
    "text": lambda data: b"<!DOCTYPE html><html><body>404 Not Found</body></html>\n" * 20,
    "utf16": lambda data: data.decode("latin-1").encode("utf-16"),
}
SURE = ("empty", "zeros_0", "text")
"""What every format notices."""


def _where(file: str, name: str = "") -> Literal["here", "fork", "process"]:
    """HDF5 may loop without end over damaged bytes, and hears no signal then: the command itself ends that wait."""
    if not file.endswith(".nc"):
        return "here"
    return "process" if name == "hole" else "fork"


def _spoilt(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def _runoff_files() -> Iterator[Mutation]:
    for reader in RUNOFF.values():
        if reader.name.startswith("zarr"):
            continue
        for name, change in CHANGES.items():
            if name == "tail" and reader.name in ("nc", "grid", "nc3"):
                continue  # what stands after the end of such a file means nothing

            def prepare(folder: Path, reader=reader, change=change) -> None:  # type: ignore[no-untyped-def]
                reader.write(folder)
                _spoilt(folder / reader.file, change)

            yield Mutation(
                f"damage/runoff/{reader.name}/{name}",
                prepare,
                reader.command,
                _noticed(reader.name, name, reader.file),
                where=_where(reader.file),
            )


def _noticed(reader: str, name: str, file: str) -> Expect:
    file = file.rpartition("/")[2]
    if name in SURE:
        return refused(file)
    checked = reader.startswith(("gz", "parquet")) and name.startswith(("cut", "zeros"))
    if checked or (
        reader in ("nc", "grid", "m3_riv", "nc3") and name in ("cut_1", "cut_25", "cut_50", "utf16")
    ):
        return refused(file)
    if reader.startswith("csv") and name in ("zeros_50", "zeros_90", "hole", "tail", "utf16"):
        return refused(file)
    if reader == "nc3" and name.startswith("cut"):
        return refused(file)
    # The rest may fall on bytes that no checksum guards.
    return either(Whole())


def _stores() -> Iterator[Mutation]:
    """Zarr: single files of the store gone or damaged."""
    for flavour in ("zarr2", "zarr3"):
        chunk = {"zarr2": "runoff/0.0", "zarr3": "runoff/c/0/0"}[flavour]
        meta = {"zarr2": "runoff/.zarray", "zarr3": "runoff/zarr.json"}[flavour]
        root = {"zarr2": ".zgroup", "zarr3": "zarr.json"}[flavour]
        times = {"zarr2": "time/0", "zarr3": "time/c/0"}[flavour]
        ids = {"zarr2": "reach_id/0", "zarr3": "reach_id/c/0"}[flavour]
        reader = RUNOFF[flavour]
        for part, path in (("chunk", chunk), ("meta", meta), ("root", root), ("time", times), ("ids", ids)):
            for name, change in CHANGES.items():
                if name in ("doubled", "tail", "noise_2", "flip_40", "flip_99"):
                    continue

                def prepare(folder: Path, reader=reader, path=path, change=change) -> None:  # type: ignore[no-untyped-def]
                    reader.write(folder)
                    _spoilt(folder / "r.zarr" / path, change)

                expect = refused("r.zarr") if name in SURE or name.startswith("cut") else either(Whole())
                if name == "cut_99" and part in ("chunk", "time", "ids"):
                    expect = either(RIGHT, "r.zarr")  # what a codec puts at its end may hold nothing
                yield Mutation(f"damage/{flavour}/{part}/{name}", prepare, reader.command, expect)

            def gone(folder: Path, reader=reader, path=path) -> None:  # type: ignore[no-untyped-def]
                reader.write(folder)
                (folder / "r.zarr" / path).unlink()

            # an absent chunk is one of fill values by Zarr's own rule, which are 0 here
            lost = either(Routed(RIGHT.values * 0.0), "r.zarr") if part == "chunk" else refused("r.zarr")
            yield Mutation(f"damage/{flavour}/{part}/gone", gone, reader.command, lost)

        def shape(folder: Path, reader=reader, meta=meta) -> None:  # type: ignore[no-untyped-def]
            reader.write(folder)
            path = folder / "r.zarr" / meta
            text = json.loads(path.read_text())
            text["shape"] = [10**12, 8]
            path.write_text(json.dumps(text))

        yield Mutation(f"damage/{flavour}/meta/endless", shape, reader.command, refused("r.zarr"))

        def object_code(folder: Path, reader=reader, meta=meta) -> None:  # type: ignore[no-untyped-def]
            reader.write(folder)
            path = folder / "r.zarr" / meta
            text = json.loads(path.read_text())
            if "filters" in text:
                text |= {"dtype": "|O", "filters": [{"id": "pickle", "protocol": 4}]}
            else:
                text["codecs"] = [{"name": "no-such-codec"}]
            path.write_text(json.dumps(text))

        yield Mutation(f"damage/{flavour}/meta/other_codec", object_code, reader.command, refused("r.zarr"))

        def half(folder: Path, reader=reader) -> None:  # type: ignore[no-untyped-def]
            reader.write(folder)
            shutil.rmtree(folder / "r.zarr" / "runoff")

        yield Mutation(f"damage/{flavour}/runoff_gone", half, reader.command, refused("r.zarr"))


FEW = (
    "empty",
    "cut_50",
    "cut_99",
    "zeros_50",
    "zeros_0",
    "hole",
    "tail",
    "flip_40",
    "noise_1",
    "text",
    "utf16",
)


def _other_files() -> Iterator[Mutation]:
    """Networks, parameters, observations and workflows."""

    def small(folder: Path) -> None:
        inputs.write_basics(folder)
        arrays.write(arrays.runoff_model(), folder / "r.nc", "nc")
        save(inputs.network_table(), folder / "n.parquet")
        save(inputs.network_table(), folder / "n.csv.gz")
        save(inputs.parameter_table(), folder / "p.parquet")
        arrays.write(arrays.parameter_model(), folder / "p.nc", "nc")

    for file in ("n.csv", "n.csv.gz", "n.parquet", "p.csv", "p.parquet", "p.nc"):
        command = tuple(
            {"n.csv": file if file[0] == "n" else "n.csv", "p.csv": file if file[0] == "p" else "p.csv"}.get(
                one, one
            )
            for one in route()
        )
        for name in FEW:

            def prepare(folder: Path, file: str = file, name: str = name) -> None:
                small(folder)
                _spoilt(folder / file, CHANGES[name])

            sure = name in SURE or (
                file.endswith(".csv") and name in ("zeros_50", "hole", "tail", "utf16", "cut_50")
            )
            sure = sure or (not file.endswith(".csv") and name == "cut_50")
            expect = refused(file) if sure else either(Whole())
            yield Mutation(f"damage/{file}/{name}", prepare, command, expect, where=_where(file, name))
    for reader in (OBSERVATIONS["nc"], OBSERVATIONS["csv_wide"], OBSERVATIONS["parquet_long"]):
        for name in FEW:
            if name == "tail" and reader.name == "nc":
                continue

            def observed(folder: Path, reader=reader, name: str = name) -> None:  # type: ignore[no-untyped-def]
                reader.write(folder)
                _spoilt(folder / reader.file, CHANGES[name])

            expect = refused(reader.file) if name in SURE else either(Whole("run/hydrographs.nc", "estimate"))
            yield Mutation(
                f"damage/observations/{reader.name}/{name}", observed, ESTIMATE, expect, writes=("run",)
            )
    for name in CHANGES:

        def workflow(folder: Path, name: str = name) -> None:
            OBSERVATIONS["nc"].write(folder)
            _spoilt(folder / "w.yaml", CHANGES[name])

        expect = (
            refused("w.yaml") if name in (*SURE, "hole", "tail", "doubled", "zeros_50") else either(Nothing())
        )
        yield Mutation(f"damage/w.yaml/{name}", workflow, ("validate", "w.yaml"), expect)
    for file in ("rapid_connect.csv", "k.csv", "x.csv"):
        for name in FEW:

            def rapid(folder: Path, file: str = file, name: str = name) -> None:
                RUNOFF["m3_riv"].write(folder)
                write_rapid(folder)
                _spoilt(folder / "rapid" / file, CHANGES[name])

            command = tuple("rapid" if one == "p.csv" else one for one in RUNOFF["m3_riv"].command)
            command = tuple("muskingum" if one == "pure_lag" else one for one in command)
            sure = name in (*SURE, "zeros_50", "hole", "tail", "utf16")
            yield Mutation(
                f"damage/rapid/{file}/{name}", rapid, command, refused(file) if sure else either(Whole())
            )


def _no_files() -> Iterator[Mutation]:
    """What is no file at all, or none that can be read."""
    right = Routed(inputs.routed(inputs.runoff()))

    def made(name: str, make: Callable[[Path], object], file: str) -> Callable[[Path], None]:
        def prepare(folder: Path) -> None:
            inputs.write_basics(folder)
            arrays.write(arrays.runoff_model(), folder / "r.nc", "nc")
            path = folder / file
            if path.exists():
                path.unlink()
            make(path)

        return prepare

    kinds: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
        "fifo": (os.mkfifo, ()),
        "empty_folder": (lambda path: path.mkdir(), ()),
        "link_to_nothing": (lambda path: path.symlink_to("nowhere"), ()),
        "link_to_itself": (lambda path: path.symlink_to(path.name), ()),
        "link_to_null": (lambda path: path.symlink_to("/dev/null"), ()),
        "link_to_zero": (lambda path: path.symlink_to("/dev/zero"), ()),
        "gone": (lambda path: None, ()),
    }
    for file in (
        "n.csv",
        "n.parquet",
        "r.nc",
        "r.csv",
        "r.csv.gz",
        "r.parquet",
        "r.zarr",
        "p.csv",
        "p.nc",
        "p.zarr",
    ):
        command = tuple(
            file if one.endswith((".csv", ".nc")) and one[0] == file[0] and one != "q.nc" else one
            for one in route()
        )
        for name, (make, words) in kinds.items():
            yield Mutation(
                f"damage/no_file/{file}/{name}",
                made(name, make, file),
                command,
                refused(file, *words),
                limit=8.0,
                where="fork",
            )

    def workflow(make: Callable[[Path], object]) -> Callable[[Path], None]:
        def prepare(folder: Path) -> None:
            make(folder / "w.yaml")

        return prepare

    for name, (make, _) in kinds.items():
        for command in (("validate", "w.yaml"), ("estimate", "w.yaml")):
            yield Mutation(
                f"damage/no_file/{command[0]}/{name}",
                workflow(make),
                command,
                refused("w.yaml"),
                limit=8.0,
                where="fork",
            )

    def link(folder: Path) -> None:
        inputs.write_basics(folder)
        arrays.write(arrays.runoff_model(), folder / "there.nc", "nc")
        (folder / "r.nc").symlink_to("there.nc")

    yield Mutation("damage/no_file/a_link_is_fine", link, route(), same(right))

    def observed(folder: Path) -> None:
        OBSERVATIONS["nc"].write(folder)
        (folder / "o.nc").unlink()
        os.mkfifo(folder / "o.nc")

    yield Mutation(
        "damage/no_file/observations_fifo",
        observed,
        ESTIMATE,
        refused("o.nc"),
        ("run",),
        limit=8.0,
        where="fork",
    )
