"""Options of the command line: out of range, of another kind, misspelt, and endless."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.fuzz import arrays, inputs
from tests.fuzz.answers import Nothing, Observed, Partitioned, Routed
from tests.fuzz.readers import OBSERVATIONS, route
from tests.fuzz.registry import Expect, Mutation, either, refused, same

RIGHT = Routed(inputs.routed(inputs.runoff()))


def mutations() -> Iterator[Mutation]:
    """All of the family."""
    yield from _route()
    yield from _partition()
    yield from _set()
    yield from _runs()
    yield from _processes()


def _case(folder: Path) -> None:
    inputs.write_basics(folder)
    arrays.write(arrays.runoff_model(), folder / "r.nc", "nc")


def _workflow_files(folder: Path) -> None:
    inputs.write_workflow(folder / "w.yaml")
    for name in ("n.csv", "r.nc", "o.nc"):
        (folder / name).touch()


ENDLESS = "9" * 5000


def _route() -> Iterator[Mutation]:
    cases: dict[str, tuple[tuple[str, ...], Expect]] = {
        "parts_0": (("--parts", "0"), refused("parts")),
        "parts_-1": (("--parts", "-1"), refused("parts")),
        "parts_text": (("--parts", "two"), refused("parts")),
        "parts_fraction": (("--parts", "1.5"), refused("parts")),
        "parts_8": (("--parts", "8"), same(RIGHT)),
        "parts_100": (("--parts", "100"), either(RIGHT, "parts")),
        "parts_2_63": (("--parts", str(2**63)), either(RIGHT, "parts")),
        "parts_endless": (("--parts", ENDLESS), refused("parts")),
        "chunk_0": (("--chunk-steps", "0"), refused("chunk-steps")),
        "chunk_1": (("--chunk-steps", "1"), same(RIGHT)),
        "chunk_3": (("--chunk-steps", "3"), same(RIGHT)),
        "chunk_2_63": (("--chunk-steps", str(2**63)), either(RIGHT, "chunk")),
        "workers_-1": (("--workers", "-1"), refused("workers")),
        "workers_endless": (("--workers", ENDLESS), refused("workers")),
        "device_cuda": (("--device", "cuda"), either(RIGHT, "cuda")),
        "device_tpu": (("--device", "tpu"), refused("device", "tpu")),
        "dtype_float16": (("--dtype", "float16"), refused("dtype", "float16")),
        "dtype_float64": (("--dtype", "float64"), same(RIGHT)),
        "engine_none": (("--engine", "warp"), refused("engine", "warp")),
        "engine_closure": (("--engine", "closure"), same(RIGHT)),
        "engine_reference": (("--engine", "reference"), same(RIGHT)),
        "convention_rapid": (("--convention", "rapid"), refused("rapid")),
        "convention_none": (("--convention", "mine"), refused("convention", "mine")),
        "unknown": (("--speed", "3"), refused("speed")),
        "unknown_flood": (("--" + "x" * 5000, "3"), refused("xxx")),
        "positional": (("extra",), refused("extra")),
        "scheme_unknown": (("--scheme", "muskingam"), refused("muskingam", "muskingum")),
        "scheme_empty": (("--scheme", ""), refused("scheme")),
        "scheme_flood": (("--scheme", "x" * 5000), refused("scheme")),
        "scheme_control": (("--scheme", "a\x1b[31m\nb"), refused("scheme")),
        "network_twice": (("--network", "nix.csv"), refused("nix.csv")),
        "network_empty": (("--network", ""), refused()),
        "network_surrogate": (("--network", "\udcff.csv"), refused()),
        "network_nul": (("--network", "n\x00.csv"), refused()),
        "network_flood": (("--network", "x" * 5000), refused("xxx")),
        "runoff_flood": (("--runoff", "x/" * 3000 + "r.nc"), refused("r.nc")),
        "runoff_nul": (("--runoff", "r\x00.nc"), refused()),
        "runoff_surrogate": (("--runoff", "\udcff.nc"), refused()),
        "runoff_url": (("--runoff", "http://127.0.0.1:9/r.nc"), refused("r.nc")),
        "runoff_dap": (("--runoff", "r.nc#mode=zarr"), refused("r.nc")),
        "parameters_nul": (("--parameters", "p\x00.csv"), refused()),
        "parameters_gone": (("--parameters", "nix.csv"), refused("nix.csv")),
        "parameters_flood": (("--parameters", "x" * 5000), refused("xxx")),
        "output_nul": (("--output", "q\x00.nc"), refused()),
        "output_surrogate": (("--output", "\udcff.nc"), either(Nothing())),
        "variable_flood": (("--variable", "x" * 5000), refused("xxx")),
        "variable_control": (("--variable", "a\nb\x1bc"), refused("r.nc")),
        "outlets_text": (("--outlets", "x"), either(RIGHT, "outlets")),
        "outlets_digits": (("--outlets", ENDLESS), either(RIGHT, "outlets")),
        "parameters_no_value": (("--parameters",), refused("parameters")),
    }
    for name, (more, expect) in cases.items():
        surrogate = ("\udcff.nc",) if name == "output_surrogate" else ("q.nc",)
        yield Mutation(f"options/route/{name}", _case, (*route(), *more), expect, surrogate)
    for step, expect in {
        "1d": same(RIGHT), "24h": same(RIGHT), "1440min": same(RIGHT), "86400s": same(RIGHT), "86400.0s": same(RIGHT),
        " 1d ": same(RIGHT),
        "0s": refused("routing-step"), "-1d": refused("routing-step"),
        "5h30min": refused("routing-step"),
        "7h": refused("86400|25200|7h"), "2d": refused("172800|2d"),
        "1": refused("routing-step"), "": refused("routing-step"),
        "day": refused("routing-step"), "1e400d": refused("routing-step"), "nan d": refused("routing-step"),
        "0.000000001s": refused("step"), ENDLESS + "d": refused("step"), "1d\n": either(RIGHT, "routing-step"),
        "\u0661d": either(RIGHT, "routing-step"), "1/0d": refused("routing-step"), "x" * 5000: refused("routing-step"),
    }.items():  # fmt: skip
        command = list(route())
        command[command.index("--routing-step") + 1] = step
        shown = ascii(step)[:20].replace("/", "|")
        yield Mutation(f"options/routing_step/{shown}", _case, tuple(command), expect)
    for name in ("--network", "--runoff", "--scheme", "--output"):
        command = list(route())
        at = command.index(name)
        del command[at : at + 2]
        yield Mutation(f"options/missing/{name[2:]}", _case, tuple(command), refused(name[2:]))


def _partition() -> Iterator[Mutation]:
    base = ("partition", "--network", "n.csv", "--output", "p.zarr")
    cases: dict[str, tuple[tuple[str, ...], Expect]] = {
        "parts_0": (("--parts", "0"), refused("parts")),
        "parts_none": ((), refused("parts")),
        "parts_8": (("--parts", "8"), same(Partitioned(8))),
        "parts_9": (("--parts", "9"), either(Partitioned(9), "parts")),
        "parts_2_31": (("--parts", str(2**31)), refused("parts")),
        "parts_2_62": (("--parts", str(2**62)), refused("parts")),
        "parts_2_64": (("--parts", str(2**64)), refused("parts")),
        "parts_endless": (("--parts", ENDLESS), refused("parts")),
        "seed_7": (("--parts", "2", "--seed", "7"), same(Partitioned(2))),
        "seed_-1": (("--parts", "2", "--seed", "-1"), refused("seed")),
        "seed_2_31": (("--parts", "2", "--seed", str(2**31)), either(Partitioned(2), "seed")),
        "seed_2_63": (("--parts", "2", "--seed", str(2**63)), either(Partitioned(2), "seed")),
        "seed_2_70": (("--parts", "2", "--seed", str(2**70)), either(Partitioned(2), "seed")),
        "seed_text": (("--parts", "2", "--seed", "x"), refused("seed")),
        "block_0": (("--parts", "2", "--block-reaches", "0"), refused("block-reaches")),
        "block_1": (("--parts", "2", "--block-reaches", "1"), same(Partitioned(2))),
        "block_2_63": (("--parts", "2", "--block-reaches", str(2**63)), either(Partitioned(2), "block")),
        "block_2_70": (("--parts", "2", "--block-reaches", str(2**70)), either(Partitioned(2), "block")),
        "spread": (("--parts", "2", "--spread"), same(Partitioned(2))),
        "shallow": (("--parts", "2", "--shallow"), same(Partitioned(2))),
        "spread_and_shallow": (
            ("--parts", "2", "--spread", "--shallow"),
            either(Partitioned(2), "shallow|spread"),
        ),
    }
    for name, (more, expect) in cases.items():
        yield Mutation(
            f"options/partition/{name}", _case, (*base, *more), expect, ("p.zarr",), (), "fork", 20.0
        )


def _set() -> Iterator[Mutation]:
    cases: dict[str, tuple[tuple[str, ...], Expect]] = {
        "right": (("seed=4",), same(Nothing())),
        "two": (("seed=4", "estimate.steps=2"), same(Nothing())),
        "last_wins": (("seed=x", "seed=4"), same(Nothing())),
        "new_section": (("report.hydrographs=2",), same(Nothing())),
        "no_equals": (("seed",), refused("--set seed")),
        "no_key": (("=4",), refused("--set")),
        "no_value": (("seed=",), refused("--set seed")),
        "empty": (("",), refused("--set")),
        "dots": ((".=4",), refused("--set")),
        "dot_at_end": (("estimate.=4",), refused("--set")),
        "unknown": (("estimate.stepz=4",), refused("--set", "estimate.stepz")),
        "below_a_number": (("seed.x=4",), refused("--set", "seed")),
        "below_a_list": (("time.train.x=4",), refused("--set", "time.train")),
        "wrong_kind": (("estimate.steps=many",), refused("--set", "estimate.steps", "many")),
        "not_yaml": (("estimate.steps=[1",), refused("--set", "estimate.steps")),
        "tag": (("estimate.steps=!!int x",), refused("--set")),
        "python_tag": (("estimate.steps=!!python/object/apply:os.getcwd []",), refused("--set")),
        "deep": (("seed=" + "[" * 3000 + "]" * 3000,), refused("--set")),
        "deep_key": ((".".join("a" * 3000) + "=1",), refused("--set")),
        "digits": (("seed=" + ENDLESS,), refused("--set")),
        "alias": (("seed=*x",), refused("--set")),
        "flood": (("name=" + "-" * 100000,), refused("--set", "name")),
        "nul": (("name=a\x00b",), refused("--set")),
        "newline": (("name=a\nb",), refused("--set")),
        "surrogate": (("name=\udcff",), refused("--set")),
        "environment": (("name=${NOT_SET_ANYWHERE}",), refused("name", "NOT_SET_ANYWHERE")),
        "section_by_text": (("estimate=fast",), refused("--set", "estimate")),
        "null_section": (("estimate=null",), either(Nothing(), "--set", "estimate")),
        "two_documents": (("seed=1\n---\n2",), refused("--set")),
        "bomb": (
            ("seed={a: &a [x,x,x,x,x,x,x,x], b: &b [*a,*a,*a,*a,*a,*a,*a,*a], c: [*b,*b,*b,*b,*b,*b]}",),
            refused("--set"),
        ),
    }
    for name, (values, expect) in cases.items():
        more = tuple(word for value in values for word in ("--set", value))
        yield Mutation(
            f"options/set/{name}",
            OBSERVATIONS["nc"].write,
            ("validate", "w.yaml", *more),
            expect,
            (),
            (),
            "fork",
            15.0,
        )


def _runs() -> Iterator[Mutation]:
    """Commands about a run directory where there is none."""

    def folders(folder: Path) -> None:
        OBSERVATIONS["nc"].write(folder)
        (folder / "empty").mkdir()
        (folder / "odd").mkdir()
        (folder / "odd" / "config.yaml").write_text("name: 5\n")

    for place in ("nix", "empty", "odd", "n.csv", "", "a\x00b", "x" * 5000):
        shown = {"": "nothing", "a\x00b": "nul", "x" * 5000: "flood"}.get(place, place)
        for command in (
            ("status", place), ("report", place), ("evaluate", place),
            ("export", place, "--format", "csv", "--output", "e.csv"),
            ("apply", place, "--network", "n.csv", "--output", "a.csv"),
        ):  # fmt: skip
            yield Mutation(f"options/{command[0]}/{shown}", folders, command, refused(), ())
    for command in (("frobnicate",), ("rout",), ("",), ("x" * 5000,)):
        yield Mutation(f"options/command/{command[0][:12] or 'empty'}", folders, command, refused(), ())
    for more in (
        ("--fold", "0"),
        ("--fold", "3"),
        ("--fold", "x"),
        ("--fold", "1", "--fresh"),
        ("--fold", str(2**70)),
    ):
        yield Mutation(
            f"options/run/{'_'.join(more)[2:20]}", folders, ("run", "w.yaml", *more), refused("fold"), ()
        )
    for more in (
        ("--seeds", "x"),
        ("--seeds", "5-1"),
        ("--seeds", "0-99999999999"),
        ("--seeds", "-1"),
        ("--folds",),
    ):
        command = ("submit", "w.yaml", "--dry-run", *more)
        yield Mutation(f"options/submit/{'_'.join(more)[2:20]}", folders, command, refused(), ())


def _processes() -> Iterator[Mutation]:
    """In a process of its own, as a user starts it."""
    wrong = ("route", "--network", "nix.csv", "--runoff", "r.nc", "--scheme", "pure_lag", "--output", "q.nc")
    yield Mutation("process/route/right", _case, route(), same(RIGHT), where="process")
    yield Mutation("process/route/wrong", _case, wrong, refused("nix.csv"), where="process")
    yield Mutation("process/route/unknown_option", _case, (*route(), "--x"), refused("--x"), where="process")
    validate = ("validate", "w.yaml")
    yield Mutation(
        "process/validate/right", OBSERVATIONS["nc"].write, validate, same(Nothing()), (), where="process"
    )
    more = (*validate, "--set", "seed=x")
    yield Mutation(
        "process/validate/wrong", OBSERVATIONS["nc"].write, more, refused("seed"), (), where="process"
    )

    def ascii_only(folder: Path) -> None:
        OBSERVATIONS["nc"].write(folder)
        (folder / "w.yaml").write_text("name: \u00e9\u4e2d\n")

    yield Mutation(
        "process/validate/in_the_c_locale", ascii_only, validate, refused("w.yaml"), (), where="process",
        environment={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    estimate = ("estimate", "w.yaml")
    answer = Observed(inputs.observed())
    yield Mutation(
        "process/estimate/right",
        OBSERVATIONS["nc"].write,
        estimate,
        same(answer),
        ("run",),
        (),
        "process",
        60.0,
    )
    partition = ("partition", "--network", "n.csv", "--parts", "2", "--output", "p.zarr")
    yield Mutation(
        "process/partition/right", _case, partition, same(Partitioned(2)), ("p.zarr",), where="process"
    )
