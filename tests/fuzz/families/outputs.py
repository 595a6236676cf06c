"""Outputs: never over an input, another's file or folder, and never half of one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.fuzz import arrays, inputs, runs
from tests.fuzz.answers import Nothing, Observed, Partitioned, Routed
from tests.fuzz.readers import OBSERVATIONS, route
from tests.fuzz.registry import Expect, Mutation, either, refused, same

RIGHT = inputs.routed(inputs.runoff())


def mutations() -> Iterator[Mutation]:
    """All of the family."""
    yield from _over_inputs()
    yield from _over_others()
    yield from _places()
    yield from _partition()
    yield from _workflow()
    yield from _commands()


def _case(folder: Path) -> None:
    inputs.write_basics(folder)
    arrays.write(arrays.runoff_model(), folder / "r.nc", "nc")
    arrays.write(arrays.runoff_model(), folder / "r.zarr", "zarr3")
    arrays.write(arrays.parameter_model(), folder / "p.nc", "nc")
    arrays.write(arrays.parameter_model(), folder / "p.zarr", "zarr3")
    (folder / "below").mkdir()
    (folder / "notes.txt").write_text("a user's own")


def _to(output: str, *changes: tuple[str, str]) -> tuple[str, ...]:
    swap = dict(changes)
    return tuple(output if one == "q.nc" else swap.get(one, one) for one in route())


def _route(
    name: str,
    make: Callable[[Path], object],
    command: tuple[str, ...],
    expect: Expect,
    writes: tuple[str, ...] = (),
) -> Mutation:
    def prepare(folder: Path) -> None:
        _case(folder)
        make(folder)

    return Mutation(f"outputs/route/{name}", prepare, command, expect, writes, (), "fork", 20.0)


def _nothing(folder: Path) -> None:
    pass


def _over_inputs() -> Iterator[Mutation]:
    zarr = ("r.nc", "r.zarr")
    yield _route("runoff", _nothing, _to("r.nc"), refused("r.nc"))
    yield _route("runoff_dot", _nothing, _to("./r.nc"), refused("r.nc"))
    yield _route("runoff_around", _nothing, _to("below/../r.nc"), refused("r.nc"))
    yield _route("runoff_store", _nothing, _to("r.zarr", zarr), refused("r.zarr"))
    yield _route("runoff_store_slash", _nothing, _to("r.zarr/", zarr), refused("r.zarr"))
    yield _route("inside_the_runoff_store", _nothing, _to("r.zarr/q.zarr", zarr), refused("r.zarr"))
    yield _route("inside_the_runoff_store_nc", _nothing, _to("r.zarr/q.nc", zarr), refused("r.zarr"))
    yield _route("an_array_of_the_store", _nothing, _to("r.zarr/runoff/q.zarr", zarr), refused("r.zarr"))
    yield _route("parameters", _nothing, _to("p.nc", ("p.csv", "p.nc")), refused("p.nc"))
    yield _route("parameter_store", _nothing, _to("p.zarr", ("p.csv", "p.zarr")), refused("p.zarr"))
    yield _route(
        "inside_the_parameter_store", _nothing, _to("p.zarr/q.nc", ("p.csv", "p.zarr")), refused("p.zarr")
    )

    def linked(folder: Path) -> None:
        (folder / "link.nc").symlink_to("r.nc")

    yield _route("a_link_to_the_runoff", linked, _to("link.nc"), refused("link.nc"))
    yield _route("runoff_by_a_link", linked, _to("r.nc", ("r.nc", "link.nc")), refused("r.nc"))

    def hard(folder: Path) -> None:
        os.link(folder / "r.nc", folder / "hard.nc")

    yield _route("a_hard_link_to_the_runoff", hard, _to("hard.nc"), refused("hard.nc"))

    def folder_link(folder: Path) -> None:
        (folder / "here").symlink_to(".")

    yield _route("through_a_linked_folder", folder_link, _to("here/r.nc"), refused("r.nc"))
    yield _route("store_through_a_linked_folder", folder_link, _to("here/r.zarr", zarr), refused("r.zarr"))

    def store_link(folder: Path) -> None:
        (folder / "link.zarr").symlink_to("r.zarr")

    yield _route("a_link_to_the_store", store_link, _to("link.zarr", zarr), refused("link.zarr"))

    def above(folder: Path) -> None:
        (folder / "all.zarr").mkdir()
        shutil.move(folder / "r.nc", folder / "all.zarr" / "r.nc")

    yield _route("above_the_runoff", above, _to("all.zarr", ("r.nc", "all.zarr/r.nc")), refused("all.zarr"))

    def network_inside(folder: Path) -> None:
        (folder / "all.zarr").mkdir()
        shutil.move(folder / "n.csv", folder / "all.zarr" / "n.csv")

    yield _route(
        "above_the_network", network_inside, _to("all.zarr", ("n.csv", "all.zarr/n.csv")), refused("all.zarr")
    )


def _over_others() -> Iterator[Mutation]:
    def own_folder(name: str) -> Callable[[Path], None]:
        def make(folder: Path) -> None:
            (folder / name).mkdir()
            (folder / name / "thesis.txt").write_text("years of work")

        return make

    yield _route("a_folder_of_files.nc", own_folder("mine.nc"), _to("mine.nc"), refused("mine.nc"))
    yield _route("a_folder_of_files.zarr", own_folder("mine.zarr"), _to("mine.zarr"), refused("mine.zarr"))

    def empty(folder: Path) -> None:
        (folder / "mine.zarr").mkdir()

    def file(name: str, data: bytes) -> Callable[[Path], None]:
        return lambda folder: (folder / name).write_bytes(data)

    yield _route("a_file_called_zarr", file("mine.zarr", b"a table"), _to("mine.zarr"), refused("mine.zarr"))
    yield _route("a_text_called_nc", file("mine.nc", b"a table"), _to("mine.nc"), refused("mine.nc"))
    yield _route("a_fifo", lambda folder: os.mkfifo(folder / "mine.nc"), _to("mine.nc"), refused("mine.nc"))

    def other_zarr(folder: Path) -> None:
        arrays.write(arrays.observation_model(), folder / "mine.zarr", "zarr3")
        (folder / "mine.zarr" / "thesis.txt").write_text("years of work")

    yield _route("a_store_with_more_in_it", other_zarr, _to("mine.zarr"), refused("mine.zarr"))
    yield _route("an_empty_folder", empty, _to("mine.zarr"), _either("mine.zarr"), ("mine.zarr",))
    yield _route(
        "a_link_to_nothing", lambda f: (f / "l.nc").symlink_to("gone/there.nc"), _to("l.nc"), refused("l.nc")
    )


def _either(path: str) -> Expect:
    return either(Routed(RIGHT, path=path), path)


def _places() -> Iterator[Mutation]:
    yield _route("right.nc", _nothing, _to("q.nc"), same(Routed(RIGHT)), ("q.nc",))
    yield _route("right.zarr", _nothing, _to("q.zarr"), same(Routed(RIGHT, path="q.zarr")), ("q.zarr",))
    yield _route("below", _nothing, _to("below/q.nc"), same(Routed(RIGHT, path="below/q.nc")), ("below",))
    yield _route(
        "no_such_folder", _nothing, _to("nix/q.nc"), either(Routed(RIGHT, path="nix/q.nc"), "nix"), ("nix",)
    )
    for name, output in {
        "no_suffix": "q", "csv": "q.csv", "upper_case": "q.NC", "parquet": "q.parquet", "text": "q.txt", "empty": "",
        "the_folder": ".", "a_file_as_folder": "n.csv/q.nc", "suffix_alone": ".nc",
    }.items():  # fmt: skip
        expect = either(Routed(RIGHT, path=output), "--output|" + (output or "output"))
        strict = (
            refused("--output|" + (output or "output"))
            if name not in ("upper_case", "suffix_alone")
            else expect
        )
        yield _route(f"name_{name}", _nothing, _to(output), strict, (output,) if output else ())
    long = "q" * 300 + ".nc"
    yield _route("name_too_long", _nothing, _to(long), refused("qqq"))
    yield _route("name_null", _nothing, _to("/dev/null"), refused("/dev/null"))
    yield _route("name_null_nc", lambda f: (f / "n.nc").symlink_to("/dev/null"), _to("n.nc"), refused("n.nc"))
    odd = "q \u00e9\u4e2d'$(touch x).nc"
    yield _route("name_odd", _nothing, _to(odd), same(Routed(RIGHT, path=odd)), (odd,))


def _partition() -> Iterator[Mutation]:
    def command(output: str, network: str = "n.csv") -> tuple[str, ...]:
        return ("partition", "--network", network, "--parts", "2", "--output", output)

    def one(
        name: str, make: Callable[[Path], object], args: tuple[str, ...], expect: Expect, *writes: str
    ) -> Mutation:
        def prepare(folder: Path) -> None:
            _case(folder)
            make(folder)

        return Mutation(f"outputs/partition/{name}", prepare, args, expect, writes)

    def store(folder: Path) -> None:
        from rivercut.network import RiverNetwork
        from rivercut.store import write_network

        ids, down = inputs.IDS, [inputs.DOWNSTREAM[int(i)] for i in inputs.IDS]
        write_network(RiverNetwork.from_ids(ids, down, [5000.0] * len(ids)), folder / "net.zarr")

    yield one("right", _nothing, command("parts.zarr"), same(Partitioned(2, "parts.zarr")), "parts.zarr")
    yield one(
        "of_a_store",
        store,
        command("parts.zarr", "net.zarr"),
        same(Partitioned(2, "parts.zarr")),
        "parts.zarr",
    )
    yield one("over_the_network", store, command("net.zarr", "net.zarr"), refused("net.zarr"))
    yield one("over_the_network_dot", store, command("./net.zarr", "net.zarr"), refused("net.zarr"))
    yield one("in_the_network", store, command("net.zarr/p.zarr", "net.zarr"), refused("net.zarr"))
    yield one("over_runoff", _nothing, command("r.zarr"), refused("r.zarr"))
    yield one("in_runoff", _nothing, command("r.zarr/p.zarr"), either(Nothing(), "r.zarr"), "nothing")
    yield one("over_a_csv", _nothing, command("n.csv"), refused("n.csv"))
    yield one(
        "a_folder",
        lambda f: (f / "x.zarr").mkdir() or (f / "x.zarr" / "a.txt").write_text("a"),
        command("x.zarr"),
        refused("x.zarr"),
    )
    yield one("no_suffix", _nothing, command("parts"), refused("parts"))


def _workflow() -> Iterator[Mutation]:
    """The run directory."""
    answer = Observed(inputs.observed())

    def one(
        name: str,
        expect: Expect,
        make: Callable[[Path], object] = _nothing,
        writes: tuple[str, ...] = (),
        **sections: Any,
    ) -> Mutation:
        def prepare(folder: Path) -> None:
            OBSERVATIONS["nc"].write(folder)
            inputs.write_workflow(folder / "w.yaml", **sections)
            make(folder)

        return Mutation(f"outputs/run/{name}", prepare, ("estimate", "w.yaml"), expect, writes)

    def spoil(folder: Path) -> None:
        """Inputs under names that a run writes, beside the workflow."""
        from rivercut.network import RiverNetwork
        from rivercut.store import write_network

        ids, down = inputs.IDS, [inputs.DOWNSTREAM[int(i)] for i in inputs.IDS]
        write_network(RiverNetwork.from_ids(ids, down, [5000.0] * len(ids)), folder / "network.zarr")
        arrays.write(arrays.runoff_model(), folder / "runoff.zarr", "zarr3")
        (folder / "metrics.csv").write_text("gauge,nse\n")
        (folder / "maps").mkdir()
        (folder / "maps" / "mine.png").write_bytes(b"a map")

    yield one("right", same(answer), writes=("run",))
    yield one("here", refused("output"), output=".")
    yield one(
        "here_with_names_of_runs", refused("output"), spoil, output=".", network={"path": "network.zarr"}
    )
    yield one("here_and_a_mistake", refused(), spoil, output=".", parameters={"trend": ["nope"]})
    yield one("above", refused(".."), output="..")
    yield one("a_file", refused("n.csv"), output="n.csv")
    yield one("an_input", refused("r.nc"), output="r.nc")

    def filled(folder: Path) -> None:
        (folder / "run").mkdir()
        (folder / "run" / "thesis.txt").write_text("years of work")

    yield one("a_folder_with_files", refused("run"), filled)

    def named(folder: Path) -> None:
        (folder / "run").mkdir()
        spoil(folder / "run")

    yield one("a_folder_with_names_of_runs", refused("run"), named)

    def input_inside(name: str) -> Callable[[Path], None]:
        def make(folder: Path) -> None:
            (folder / "run").mkdir()
            shutil.move(folder / "r.nc", folder / "run" / name)

        return make

    for name in ("hydrographs.nc", "runoff.nc", "discharge.nc"):
        expect = refused("run") if name != "runoff.nc" else either(answer, "run")
        yield one(f"runoff_inside_as_{name}", expect, input_inside(name), runoff={"path": f"run/{name}"})

    def config_of_another(folder: Path) -> None:
        (folder / "run").mkdir()
        (folder / "run" / "config.yaml").write_text("title: my own settings\n")
        (folder / "run" / "metrics.csv").write_text("mine\n")

    yield one("another's_config.yaml", refused("run"), config_of_another)
    yield one(
        "link_to_a_folder", refused("run"), lambda f: (_fill(f / "mine"), (f / "run").symlink_to("mine"))
    )
    yield one(
        "link_to_nothing",
        either(answer, "run"),
        lambda f: (f / "run").symlink_to("nix"),
        writes=("nix", "run"),
    )
    yield one("empty_folder", same(answer), lambda f: (f / "run").mkdir(), writes=("run",))
    yield one(
        "deep", same(Observed(inputs.observed(), path="a/b/c/hydrographs.nc")), writes=("a",), output="a/b/c"
    )
    fresh = Mutation(
        "outputs/run/fresh_in_a_folder_with_files",
        lambda folder: (OBSERVATIONS["nc"].write(folder), filled(folder)),
        ("estimate", "w.yaml", "--fresh"),
        refused("run"),
        (),
    )
    yield fresh
    yield Mutation(
        "outputs/run/fresh_over_names_of_runs",
        lambda folder: (OBSERVATIONS["nc"].write(folder), named(folder)),
        ("estimate", "w.yaml", "--fresh"),
        refused("run"),
        (),
    )


def _commands() -> Iterator[Mutation]:
    """What other commands write: never over what they read, what a run wrote, or another's file."""
    state = (*route(), "--state-out")
    network, runoff = ("import", "network", "n.csv", "--output"), ("import", "runoff", "r.nc", "--output")
    observed = ("import", "observations", "o.nc", "--output")
    export, like = ("export", "run", "--output"), ("--as", "csv", "--like", "n.csv")
    apply = ("apply", "run", "--network", "n.csv", "--output")
    more = ("--runoff", "r.nc", "--write-discharge")
    cases: dict[str, tuple[tuple[str, ...], Expect]] = {
        **{f"state_over_{one}": ((*state, one), refused(one)) for one in ("r.nc", "n.csv", "q.nc", "o.nc", "mine")},
        "state_over_itself": ((*state, "r.nc", "--state-in", "r.nc"), refused("r.nc")),
        **{
            f"import_network_over_{one}": ((*network, one), refused(one))
            for one in ("n.csv", "mine", "notes.csv", "run/config.yaml", "run/network.zarr", "notes.txt")
        },
        "import_network_dot": ((*network, "./n.csv"), refused("n.csv")),
        "import_network_by_a_link": ((*network, "link.csv"), refused("link.csv")),
        "import_network_hard": ((*network, "hard.csv"), refused("hard.csv")),
        **{
            f"import_runoff_over_{one}": ((*runoff, one, "--network", "n.csv"), refused(one))
            for one in ("r.nc", "n.csv", "o.nc", "run/network.zarr", "run/hydrographs.nc")
        },
        **{
            f"import_observations_over_{one}": ((*observed, one), refused(one))
            for one in ("o.nc", "r.nc", "run/hydrographs.nc")
        },
        **{
            f"export_over_{one}": ((*export, one), refused(one))
            for one in ("run/parameters.zarr", "run/metrics.csv", "run/network.zarr", "notes.csv", "n.csv", "r.nc")
        },
        **{
            f"export_rapid_over_{one}": ((*export, one, "--as", "rapid"), refused(one))
            for one in ("run", "mine", "run/checkpoints", "notes.txt", ".", "..")
        },
        "export_over_its_template": ((*export, "n.csv", *like), refused("n.csv")),
        "export_over_its_template_dot": ((*export, "./n.csv", *like), refused("n.csv")),
        **{
            f"apply_over_{one}": ((*apply, one), refused(one))
            for one in ("n.csv", "o.nc", "run/parameters.zarr", "run/metrics.csv", "notes.csv", "mine")
        },
        **{
            f"apply_discharge_over_{one}": ((*apply, "a.nc", *more, one), refused(one))
            for one in ("r.nc", "a.nc", "n.csv", "o.nc", "run/hydrographs.nc")
        },
        **{
            f"init_over_{one}": (("init", "basin", "--output", one), refused(one))
            for one in ("n.csv", "w.yaml", "mine", "run/config.yaml", "link.csv")
        },
        **{f"demo_over_{one}": (("demo", "--output", one), refused(one)) for one in ("mine", "n.csv", "r.nc")},
        **{
            f"{command}_no_run": ((command, "mine", *rest), refused("mine"))
            for command, rest in {
                "report": (), "status": (), "evaluate": (), "export": ("--output", "x.nc"),
                "apply": ("--network", "n.csv", "--output", "x.nc"),
            }.items()
        },
    }  # fmt: skip
    for name, (command, expect) in cases.items():
        yield Mutation(f"outputs/commands/{name.replace('/', '_')}", _finished, command, expect, ())


def _finished(folder: Path) -> None:
    """A finished run, its inputs, and what else a user may have there."""
    shutil.copytree(runs.finished(), folder, symlinks=True, dirs_exist_ok=True)
    inputs.write_basics(folder)
    (folder / "notes.csv").write_text("my,own\n1,2\n")
    (folder / "notes.txt").write_text("a user's own")
    (folder / "link.csv").symlink_to("n.csv")
    os.link(folder / "n.csv", folder / "hard.csv")
    _fill(folder / "mine")


def _fill(path: Path) -> None:
    path.mkdir()
    (path / "thesis.txt").write_text("years of work")
