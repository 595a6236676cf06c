"""Parameters of reaches: missing, out of a scheme's range, in another order, from another kind of file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tests.fuzz import arrays, inputs
from tests.fuzz.answers import Routed
from tests.fuzz.arrays import SUFFIX, Flavour, Model, Var
from tests.fuzz.families.missing import SIGNS
from tests.fuzz.readers import RUNOFF, route, save, write_rapid
from tests.fuzz.registry import Expect, Mutation, either, refused, same, value, warned

RUNOFF_VALUES = inputs.runoff()
RIGHT = Routed(inputs.routed(RUNOFF_VALUES))
N = len(inputs.IDS)
AT = inputs.position(30)
FLAVOURS: tuple[Flavour, ...] = ("nc", "zarr2", "zarr3")


def mutations() -> Iterator[Mutation]:
    """All of the family."""
    yield from _missing()
    yield from _files()
    yield from _muskingum()
    yield from _others()
    yield from _rapid()


def _table(
    name: str, change: Callable[[pd.DataFrame], pd.DataFrame], expect: Expect, file: str = "p.csv"
) -> Mutation:
    def prepare(folder: Path) -> None:
        inputs.write_basics(folder)
        (folder / "p.csv").unlink()
        arrays.write(arrays.runoff_model(), folder / "r.nc", "nc")
        save(change(inputs.parameter_table()), folder / file)

    return Mutation(f"parameters/{name}/{file[2:]}", prepare, _with(file), expect)


def _with(file: str, command: tuple[str, ...] | None = None) -> tuple[str, ...]:
    return tuple(file if one == "p.csv" else one for one in (command or route()))


def _array(name: str, change: Callable[[Model], object], expect: Expect, flavour: Flavour) -> Mutation:
    def prepare(folder: Path) -> None:
        inputs.write_basics(folder)
        arrays.write(arrays.runoff_model(), folder / "r.nc", "nc")
        model = arrays.parameter_model()
        change(model)
        arrays.write(model, folder / f"p{SUFFIX[flavour]}", flavour)

    return Mutation(f"parameters/{name}/{flavour}", prepare, _with(f"p{SUFFIX[flavour]}"), expect)


def _missing() -> Iterator[Mutation]:
    for name, sign in SIGNS.items():

        def in_table(table: pd.DataFrame, sign: float = sign) -> pd.DataFrame:
            table.loc[AT, "delay"] = sign
            return table

        def in_array(model: Model, sign: float = sign) -> None:
            model.vars["delay"].data = model.vars["delay"].data.copy()
            model.vars["delay"].data[AT] = sign

        for file in ("p.csv", "p.parquet"):
            yield _table(f"missing/{name}", in_table, refused(file, "delay", "30"), file)
        for flavour in FLAVOURS:
            yield _array(f"missing/{name}", in_array, refused(f"p{SUFFIX[flavour]}", "delay", "30"), flavour)

    def declared(attrs: dict[str, Any], fill: Any = None) -> Callable[[Model], None]:
        def change(model: Model) -> None:
            data = inputs.delays()
            data[AT] = 7777.0
            model.vars["delay"] = Var(("reach",), data, {"units": "s", **attrs}, fill)

        return change

    for name, attrs, fill in (
        ("fill_value", {}, 7777.0),
        ("missing_value", {"missing_value": 7777.0}, None),
        ("valid_range", {"valid_range": [86400.0, 1e6]}, None),
    ):
        for flavour in FLAVOURS:
            yield _array(f"declared/{name}", declared(attrs, fill), refused("p.", "delay", "30"), flavour)


def _files() -> Iterator[Mutation]:
    rng = np.random.default_rng(3)
    order = rng.permutation(N)
    for file in ("p.csv", "p.parquet", "p.csv.gz"):
        yield _table("same/shuffled", lambda t: t.iloc[order], same(RIGHT), file)
        yield _table("same/more_reaches", _more, same(RIGHT), file)
        yield _table("same/more_columns", lambda t: t.assign(name="x", k=-5.0), same(RIGHT), file)
        yield _table("fault/lacks_30", lambda t: t[t["reach_id"] != 30], refused(file, "30"), file)
        yield _table("fault/twice", lambda t: pd.concat([t, t[2:3]]), refused(file, "30"), file)
        yield _table("fault/no_delay", lambda t: t.drop(columns="delay"), refused(file, "delay"), file)
        yield _table("fault/no_ids", lambda t: t.drop(columns="reach_id"), refused(file, "reach_id"), file)
        yield _table("fault/no_rows", lambda t: t[:0], refused(file), file)
        yield _table("fault/text", lambda t: t.assign(delay="slow"), refused(file, "delay", "slow"), file)
    yield _table("fault/bool", lambda t: t.assign(delay=True), refused("p.csv", "delay"))
    yield _table(
        "fault/date",
        lambda t: t.assign(delay=pd.to_datetime("2001-01-01")),
        refused("p.parquet", "delay"),
        "p.parquet",
    )
    yield _table("value/numbers_as_ints", lambda t: t.astype({"delay": int}), same(RIGHT))
    for flavour in FLAVOURS:

        def shuffled(model: Model) -> None:
            for var in model.vars.values():
                var.data = np.asarray(var.data)[order]

        yield _array("same/shuffled", shuffled, same(RIGHT), flavour)
        yield _array("same/float32", lambda m: _data(m, np.float32), same(RIGHT), flavour)
        yield _array("same/int32", lambda m: _data(m, np.int32), same(RIGHT), flavour)
        yield _array("fault/no_ids", lambda m: m.vars.pop("reach_id"), refused("p.", "reach_id"), flavour)
        yield _array("fault/no_delay", lambda m: m.vars.pop("delay"), refused("p.", "delay"), flavour)
        yield _array("fault/two_dims", _two_dims, refused("p.", "delay"), flavour)
        yield (
            _array("fault/bool", lambda m: _data(m, np.bool_), refused("p.", "delay"), flavour)
            if flavour != "nc"
            else _array("fault/text", lambda m: _texts(m), refused("p.nc", "delay"), "nc")
        )


def _data(model: Model, kind: Any) -> None:
    model.vars["delay"].data = model.vars["delay"].data.astype(kind)


def _texts(model: Model) -> None:
    model.vars["delay"].data = np.array(["slow"] * N, dtype=object)


def _two_dims(model: Model) -> None:
    model.vars["delay"] = Var(("time", "reach"), np.zeros((2, N)), {"units": "s"})


def _more(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, pd.DataFrame({"reach_id": [901, 902], "delay": [np.nan, -9999.0]})])


HOURS_6 = 21600.0


def _scheme(
    name: str, scheme: str, step: str, columns: dict[str, Any], expect: Expect, *more: str
) -> Mutation:
    def prepare(folder: Path) -> None:
        inputs.write_basics(folder)
        arrays.write(arrays.runoff_model(), folder / "r.nc", "nc")
        save(pd.DataFrame({"reach_id": inputs.IDS, **columns}), folder / "p.csv")

    command = [*route("r.nc", "n.csv", *more)]
    command[command.index("--scheme") + 1] = scheme
    command[command.index("--routing-step") + 1] = step
    return Mutation(f"parameters/{scheme}/{name}", prepare, tuple(command), expect)


def _muskingum() -> Iterator[Mutation]:
    k, x = np.full(N, 20000.0) + 500.0 * np.arange(N), np.full(N, 0.3)
    answer = Routed(inputs.muskingum(RUNOFF_VALUES, k, x, HOURS_6, inputs.DAY))
    yield _scheme("right", "muskingum", "6h", {"k": k, "x": x}, same(answer))
    for engine in ("closure", "recurrence", "reference"):
        yield _scheme(
            f"right_{engine}", "muskingum", "6h", {"k": k, "x": x}, same(answer), "--engine", engine
        )
    yield _scheme("right_float64", "muskingum", "6h", {"k": k, "x": x}, same(answer), "--dtype", "float64")
    yield _scheme("right_2_parts", "muskingum", "6h", {"k": k, "x": x}, same(answer), "--parts", "2")
    yield _scheme("right_chunks", "muskingum", "6h", {"k": k, "x": x}, same(answer), "--chunk-steps", "7")
    rapid = Routed(inputs.muskingum(RUNOFF_VALUES, k, x, HOURS_6, inputs.DAY, rapid=True))
    yield _scheme("right_rapid", "muskingum", "6h", {"k": k, "x": x}, same(rapid), "--convention", "rapid")
    at = np.arange(N) == AT
    for name, sign in {**SIGNS, "0": 0.0}.items():
        bad = refused("30", "k")
        yield _scheme(f"k_{name}", "muskingum", "6h", {"k": np.where(at, sign, k), "x": x}, bad)
        yield _scheme(f"x_{name}", "muskingum", "6h", {"k": k, "x": np.where(at, sign, x)}, _x(name))
    yield _scheme("x_0.6", "muskingum", "6h", {"k": k, "x": np.where(at, 0.6, x)}, refused("30", "x"))
    yield _scheme("x_-0.1", "muskingum", "6h", {"k": k, "x": np.where(at, -0.1, x)}, refused("30", "x"))
    long = np.full(N, 4e5)
    wild = Routed(inputs.muskingum(RUNOFF_VALUES, long, np.full(N, 0.45), 3600.0, inputs.DAY))
    pulse = np.zeros_like(RUNOFF_VALUES)
    pulse[3] = 1000.0

    def prepare(folder: Path) -> None:
        inputs.write_basics(folder)
        arrays.write(arrays.runoff_model(pulse), folder / "r.nc", "nc")
        save(pd.DataFrame({"reach_id": inputs.IDS, "k": long, "x": 0.45}), folder / "p.csv")

    command = [*route()]
    command[command.index("--scheme") + 1] = "muskingum"
    command[command.index("--routing-step") + 1] = "1h"
    below = Routed(inputs.muskingum(pulse, long, np.full(N, 0.45), 3600.0, inputs.DAY), tolerance=1e-3)
    yield Mutation(
        "parameters/muskingum/outside_its_range",
        prepare,
        tuple(command),
        warned("2kx|below 0|negative", below),
    )
    yield _scheme("long_k", "muskingum", "1h", {"k": long, "x": np.full(N, 0.45)}, either(wild))


def _x(name: str) -> Expect:
    right = Routed(
        inputs.muskingum(
            RUNOFF_VALUES,
            np.full(N, 20000.0) + 500.0 * np.arange(N),
            np.where(np.arange(N) == AT, 0.0, 0.3),
            HOURS_6,
            inputs.DAY,
        )
    )
    return same(right) if name == "0" else refused("30", "x")


def _others() -> Iterator[Mutation]:
    tau = np.full(N, 43200.0)
    at = np.arange(N) == AT
    for scheme, names in (
        ("linear_storage", {"tau": tau}),
        ("nash_cascade", {"tau": tau}),
        (
            "hayami",
            {"celerity": np.full(N, 0.5), "diffusivity": np.full(N, 500.0), "length": np.full(N, 5e3)},
        ),
    ):
        for parameter in names:
            for sign in ("nan", "-9999", "-1", "1e20", "inf"):
                if parameter == "length" and sign == "1e20":
                    continue
                spoilt = {**names, parameter: np.where(at, SIGNS[sign], names[parameter])}
                yield _scheme(f"{parameter}_{sign}", scheme, "1d", spoilt, refused("30", parameter))
    fast = {"celerity": np.where(at, 0.0, 1.0), "diffusivity": np.full(N, 100.0)}
    yield _scheme("celerity_0", "muskingum", "1d", fast, refused("p.csv", "celerity", "30"))
    back = {"celerity": np.full(N, 1.0), "diffusivity": np.where(at, -100.0, 100.0)}
    yield _scheme("diffusivity_negative", "muskingum", "1d", back, refused("p.csv", "diffusivity", "30"))
    made = {"celerity": np.full(N, 5000.0 / 86400.0)}
    delay = Routed(inputs.routed(RUNOFF_VALUES, delayed=tuple(inputs.IDS.tolist())))
    yield _scheme("from_celerity", "pure_lag", "1d", made, value(delay))


def _rapid() -> Iterator[Mutation]:
    k, x = np.full(N, 40000.0), np.full(N, 0.3)
    answer = Routed(inputs.muskingum(RUNOFF_VALUES, k, x, HOURS_6, inputs.DAY, rapid=True))

    def mutation(name: str, expect: Expect, ks: Any = k, xs: Any = x) -> Mutation:
        def prepare(folder: Path) -> None:
            RUNOFF["m3_riv"].write(folder)
            write_rapid(folder, k=ks, x=xs)

        command = ["rapid" if one == "p.csv" else one for one in RUNOFF["m3_riv"].command]
        command[command.index("--scheme") + 1] = "muskingum"
        command[command.index("--routing-step") + 1] = "6h"
        return Mutation(f"parameters/rapid/{name}", prepare, (*command, "--convention", "rapid"), expect)

    yield mutation("right", same(answer))
    for name, text in {
        "nan": "nan",
        "empty": " ",
        "-9999": "-9999",
        "-1": "-1",
        "0": "0",
        "text": "slow",
        "inf": "inf",
        "1e20": "1e20",
        "two": "40000,5",
    }.items():
        spoilt = ["40000"] * N
        spoilt[AT] = text
        words = ("30",) if name not in ("empty", "text", "two") else ("k.csv",)
        yield mutation(f"k_{name}", refused(*words), ks=spoilt)
    yield mutation("k_short", refused("k.csv", "7", "8"), ks=k[:-1])
    yield mutation("k_long", refused("k.csv", "9", "8"), ks=[*k, 40000.0])
    yield mutation("x_short", refused("x.csv"), xs=x[:-1])
    yield mutation("x_0.7", refused("30"), xs=[0.7 if i == AT else 0.3 for i in range(N)])
    yield mutation("k_header", refused("k.csv"), ks=["k", *k])
