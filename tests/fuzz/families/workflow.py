"""Workflows: every key of the schema with a value of another kind or out of its range, and documents that are none."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from tests.fuzz import inputs
from tests.fuzz.answers import Nothing, Observed
from tests.fuzz.readers import ESTIMATE, OBSERVATIONS
from tests.fuzz.registry import Expect, Mutation, either, refused, same
from tests.fuzz.runner import said

VALIDATE = ("validate", "w.yaml", "--no-data")


def mutations() -> Iterator[Mutation]:
    """All of the family."""
    yield from _keys()
    yield from _documents()
    yield from _meanings()


# -- every key -----------------------------------------------------------------------------------------------


@cache
def schema() -> dict[str, Any]:
    """What `rivergrad schema` prints."""
    found: dict[str, Any] = json.loads(said("schema"))
    return found


def leaves(
    section: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every key below a node of the schema, with what may stand there; sections too."""
    for name, below in section.get("properties", {}).items():
        node = resolved(below)
        yield (*path, name), node
        for one in node["any"]:
            if one.get("properties"):
                yield from leaves(one, (*path, name))


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """The alternatives of a node, references followed."""
    if "$ref" in node:
        return resolved(schema()["$defs"][node["$ref"].rpartition("/")[2]])
    if "anyOf" in node:
        return {"any": [one for part in node["anyOf"] for one in resolved(part)["any"]]}
    return {"any": [node]}


def _types(alternatives: list[dict[str, Any]]) -> set[str]:
    found = set()
    for one in alternatives:
        if "type" in one:
            found |= {one["type"]} if isinstance(one["type"], str) else set(one["type"])
        elif "enum" in one:
            found |= {
                {"str": "string", "bool": "boolean"}.get(type(value).__name__, "number")
                for value in one["enum"]
            }
        else:
            found.add("any")
    return found


def values(
    path: tuple[str, ...], alternatives: list[dict[str, Any]], file: str
) -> Iterator[tuple[str, Any, Expect]]:
    """Name, value and what is right, of values that a key of a file does not take (or may take)."""
    types = _types(alternatives)
    key = path[-1]
    yield "a_section", {"nonsense": 1}, refused(file, "nonsense|" + key)
    yield "a_list", [[1]], refused(file, key)
    yield "tagged", Tagged("!!int", "x"), refused(file)
    if "null" in types or "object" in types or path == ("output",):
        yield "nothing", None, either(Nothing(), file)
    else:
        yield "nothing", None, refused(file, key)
    yield (
        "a_flood",
        "x" * 50000,
        either(Nothing(), file + "|xxx") if "string" in types else refused(file, key),
    )
    if not types & {"number", "integer", "any"}:
        yield "a_number", 12.5, refused(file, key)
    if not types & {"boolean", "any"}:
        yield "true", True, refused(file, key)
    if types & {"number", "integer"}:
        yield "nan", float("nan"), refused(file, key)
        yield "inf", float("inf"), refused(file, key)
        yield "400_digits", 10**400, either(Nothing(), file)
        if path != ("network", "outlets"):  # which may be a text of the user's
            yield "a_text", "nonsense", refused(file, key)
    if "integer" in types and "number" not in types:
        yield "a_fraction", 2.5, refused(file, key)
    for one in alternatives:
        for bound, step in (
            ("minimum", -1),
            ("exclusiveMinimum", 0),
            ("maximum", 1),
            ("exclusiveMaximum", 0),
        ):
            if bound in one:
                yield bound, one[bound] + step, refused(file, key)
        if any(unit in one.get("pattern", "") for unit in ("|km)", "|h|", "|MB")):  # it has a unit
            for name, text in {
                "no_unit": "15",
                "negative": "-3h",
                "another_unit": "3 parsecs",
                "endless": "9" * 5000 + "h",
            }.items():
                yield (
                    name,
                    text,
                    either(Nothing(), file, key) if name == "endless" else refused(file, key),
                )
    if any("enum" in one for one in alternatives):
        yield "unknown_word", "nonsense", refused(file, key)


class Tagged:
    """A value with a tag of YAML's."""

    def __init__(self, tag: str, text: str) -> None:
        self.tag, self.text = tag, text


yaml.SafeDumper.add_representer(
    Tagged,
    lambda dumper, one: dumper.represent_scalar("tag:yaml.org,2002:" + one.tag[2:], one.text),
)


NEEDED = {"spreading": {"initial": 0.2, "bounds": [0.0, 0.5]}}
"""What a section needs before one of its keys is looked at."""
WORLD: dict[str, Any] = {
    "name": "small",
    "world": {"spec": {"seed": 1, "reaches": 50, "years": 1, "start": "2001-01-01"}},
    "time": {"routing_step": "6h", "train": ["2001-01-01", "2001-11-30"]},
}


def _set(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    data = copy.deepcopy(WORLD if path[0] == "world" else inputs.workflow())
    below = data
    for name in path[:-1]:
        below = below.setdefault(name, dict(NEEDED.get(name, {})))
    below[path[-1]] = value
    return data


def _keys() -> Iterator[Mutation]:
    for path, node in leaves(schema()):
        for name, value, expect in values(path, node["any"], "w.yaml"):

            def prepare(folder: Path, path: tuple[str, ...] = path, value: Any = value) -> None:
                _files(folder)
                dump(folder / "w.yaml", _set(path, value))

            yield Mutation(f"workflow/key/{'.'.join(path)}/{name}", prepare, VALIDATE, expect, writes=())
    for section in (
        "",
        "time",
        "estimate",
        "gauges",
        "compute",
        "network",
        "parameters.celerity",
        "gauges.screening",
    ):
        path = (*[one for one in section.split(".") if one], "stepz")

        def unknown(folder: Path, path: tuple[str, ...] = path) -> None:
            _files(folder)
            dump(folder / "w.yaml", _set(path, 3))

        yield Mutation(
            f"workflow/unknown/{section or 'top'}",
            unknown,
            VALIDATE,
            refused("w.yaml", ".".join(path)),
            writes=(),
        )


def dump(path: Path, data: dict[str, Any]) -> None:
    import sys

    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        path.write_text(yaml.safe_dump(data, sort_keys=False))
    finally:
        sys.set_int_max_str_digits(before)


def _files(folder: Path) -> None:
    """Files of the names that the workflow has: `validate` looks at no more of them."""
    for name in ("n.csv", "r.nc", "o.nc"):
        (folder / name).touch()


# -- documents -----------------------------------------------------------------------------------------------


def _documents() -> Iterator[Mutation]:
    text = yaml.safe_dump(inputs.workflow(), sort_keys=False)
    good: dict[str, str | bytes] = {
        "bom": b"\xef\xbb\xbf" + text.encode(),
        "crlf": text.replace("\n", "\r\n"),
        "comments": "# a comment\n" + text + "# the end\n",
        "document_marks": "---\n" + text + "...\n",
        "flow": json.dumps(inputs.workflow()),
        "anchor": text.replace("parts: 1", "parts: &one 1"),
    }
    for name, data in good.items():
        yield _document(name, data, same(Nothing()))
    unsure: dict[str, str | bytes] = {
        "utf16": text.encode("utf-16"),
        "merge": "base: &b {parts: 1}\n" + text.replace("partition:\n  parts: 1", "partition:\n  <<: *b"),
        "yaml_1.1": "%YAML 1.1\n---\n" + text,
        "name_with_a_colon": text.replace("name: small", 'name: "a:b"'),
    }
    for name, data in unsure.items():
        yield _document(name, data, either(Nothing(), "w.yaml"))
    bad: dict[str, str | bytes] = {
        **no_documents(text),
        "twice": text + "name: again\n",
        "twice_inside": text.replace("  parts: 1", "  parts: 1\n  parts: 2"),
        "tab": text.replace("  parts: 1", "\tparts: 1"),
        "surrogate": text.replace("name: small", 'name: "\\ud800"'),
        "surrogate_in_path": text.replace("path: n.csv", 'path: "\\udfff.csv"'),
        "nul": text.replace("name: small", 'name: "a\\0b"'),
        "nul_in_path": text.replace("path: n.csv", 'path: "n\\0.csv"'),
        "escape": text.replace("name: small", 'name: "\\e[31mred"'),
        "newline_in_name": text.replace("name: small", 'name: "a\\nb"'),
        "latin1": text.replace("name: small", "name: caf\u00e9").encode("latin-1"),
        "environment": text.replace("path: n.csv", "path: ${NOT_SET_ANYWHERE}/n.csv"),
        "no_name": text.replace("name: small\n", ""),
        "no_time": yaml.safe_dump(inputs.workflow(time=None)),
        "old_octal_gauge": text.replace("screening:", "holdout_ids: [0o17, 1_000, {}]\n  screening:"),
    }
    for name, data in bad.items():
        yield _document(name, data, refused("w.yaml"))


def no_documents(text: str, key: str = "seed") -> dict[str, str | bytes]:
    """Documents that are none of ours, by name; most begin with one that is, and have a number as `key`."""
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}, *a{i - 1}, *a{i - 1}, *a{i - 1}, *a{i - 1}]\n"
        for i in range(1, 14)
    )
    return {
        "empty": "",
        "null": "null\n",
        "a_number": "5\n",
        "a_list": "- 1\n- 2\n",
        "a_text": "hello\n",
        "two_documents": text + "---\n" + text,
        "open_bracket": text + f"{key}: [1\n",
        "open_quote": text + f'{key}: "1\n',
        "unknown_alias": text + f"{key}: *x\n",
        "bomb": bomb + text,
        "own_alias": "a: &a [*a]\n" + text,
        "own_alias_map": "a: &a {b: *a}\n" + text,
        "deep_list": text + f"{key}: " + "[" * 5000 + "]" * 5000 + "\n",
        "deep_map": text + f"{key}: " + "{a: " * 5000 + "1" + "}" * 5000 + "\n",
        "deep_blocks": "".join(" " * i + f"k{i}:\n" for i in range(1500)),
        "python_tag": text + f"{key}: !!python/object/apply:os.system ['touch owned']\n",
        "python_name": text + f"{key}: !!python/name:os.system\n",
        "int_of_text": text + f"{key}: !!int x\n",
        "float_of_text": text + f"{key}: !!float x\n",
        "bool_of_text": text + f"{key}: !!bool x\n",
        "timestamp": text + f"{key}: !!timestamp x\n",
        "binary": text + f"{key}: !!binary x\n",
        "null_of_text": text + f"{key}: !!null x\n",
        "omap": text + f"{key}: !!omap x\n",
        "set": text + f"{key}: !!set {{1, 2}}\n",
        "own_tag": text + f"{key}: !mine 5\n",
        "digits": text + f"{key}: " + "9" * 6000 + "\n",
        "digits_key": text + "9" * 6000 + ": 1\n",
        "digits_sign": text + f"{key}: -" + "9" * 6000 + "\n",
        "digits_exponent": text + f"{key}: 1e" + "9" * 400 + "\n",
        "number_key": text + "5: 1\n",
        "null_key": text + "~: 1\n",
        "list_key": text + "? [1, 2]\n: 1\n",
        "map_key": text + "{a: 1}: 1\n",
        "binary_bytes": bytes(range(256)) * 20,
        "control": text + f"{key}: \x07\n",
        "long_key": text + "k" * 60000 + ": 1\n",
        "many_keys": text + "".join(f"k{i}: 1\n" for i in range(3000)),
        "html": "<!DOCTYPE html><html><body>404</body></html>\n",
        "merge_of_text": text + "<<: x\n",
    }


def place(name: str) -> Literal["here", "fork"]:
    """Where a document is read: in a process that can be killed, if it may not end."""
    return "fork" if name.startswith(("bomb", "deep", "own_alias")) else "here"


def _document(name: str, data: str | bytes, expect: Expect) -> Mutation:
    def prepare(folder: Path) -> None:
        _files(folder)
        (folder / "w.yaml").write_bytes(
            data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
        )

    where = place(name)
    return Mutation(f"workflow/document/{name}", prepare, VALIDATE, expect, (), (), where, 15.0)


# -- what only shows against the files -----------------------------------------------------------------------


def _meanings() -> Iterator[Mutation]:
    answer = Observed(inputs.observed())
    cases: dict[str, tuple[dict[str, Any], Expect]] = {
        "right": ({}, same(answer)),
        "train_before": (
            {"time": {"train": ["1990-01-01", "1990-03-01"]}},
            refused("time.train", "1990-01-01"),
        ),
        "train_after": (
            {"time": {"train": ["2090-01-01", "2090-03-01"]}},
            refused("time.train", "2090-01-01"),
        ),
        "train_year_1": ({"time": {"train": ["0001-01-01", "0001-03-01"]}}, refused("time.train")),
        "train_to_year_9999": ({"time": {"train": ["2001-01-01", "9999-12-31"]}}, refused("time.")),
        "train_turned": (
            {"time": {"train": ["2001-02-09", "2001-01-01"]}},
            refused("time.train", "2001-02-09"),
        ),
        "step_7h": ({"time": {"routing_step": "7h"}}, refused("25200|7h|7 h")),
        "step_2d": ({"time": {"routing_step": "2d"}}, refused("172800|2d|2 d")),
        "step_1ns": ({"time": {"routing_step": "0.000000001s"}}, refused("routing")),
        "step_huge": ({"time": {"routing_step": "9" * 300 + "h"}}, refused("routing")),
        "warmup_longer": ({"time": {"warmup": "400d"}}, refused("warmup|warm-up|time.train")),
        "window_longer": ({"estimate": {"window": "400d"}}, refused("estimate.window")),
        "unknown_gauge": ({"gauges": {"holdout_ids": ["nobody"]}}, refused("gauges.holdout_ids", "nobody")),
        "all_held_out": ({"gauges": {"holdout_ids": list(inputs.GAUGES)}}, refused("gauges")),
        "unknown_attribute": (
            {"parameters": {"trend": ["altitude"]}},
            refused("parameters.trend", "altitude"),
        ),
        "trend_twice": ({"parameters": {"trend": ["slope", "slope"]}}, either(Nothing(), "parameters.trend")),
        "trend_lat": ({"parameters": {"trend": ["lat"]}}, either(answer, "parameters.trend")),
        "regions_unknown": (
            {"parameters": {"model": "regional", "regions": "x"}},
            refused("parameters.regions", "x"),
        ),
        "parts_many": ({"partition": {"parts": 2**21}}, refused("partition.parts|parts")),
        "parts_endless": ({"partition": {"parts": 10**30}}, either(answer, "partition.parts|parts")),
        "seed_endless": ({"seed": 10**30}, either(answer, "seed")),
        "budget_1_byte": ({"compute": {"memory_budget": "1B"}}, either(answer, "memory_budget")),
        "budget_endless": ({"compute": {"memory_budget": "9" * 40 + "TB"}}, either(answer, "memory_budget")),
        "threads_endless": ({"compute": {"threads_per_worker": 10**9}}, either(answer, "threads_per_worker")),
        "variable_unknown": ({"runoff": {"variable": "x"}}, refused("r.nc", "x")),
        "observed_variable": ({"observations": {"variable": "x"}}, refused("o.nc", "x")),
        "grid_true": ({"runoff": {"grid": True}}, refused("r.nc", "runoff")),
        "format_wrong": ({"network": {"format": "rapid"}}, refused("n.csv")),
        "format_zarr": ({"network": {"format": "zarr"}}, refused("n.csv")),
        "network_is_runoff": ({"network": {"path": "r.nc"}}, refused("r.nc")),
        "runoff_is_network": ({"runoff": {"path": "n.csv"}}, refused("n.csv")),
        # a file's only variable over time may be discharge under any name
        "observations_are_runoff": ({"observations": {"path": "r.nc"}}, either(Nothing(), "r.nc")),
        "runoff_gone": ({"runoff": {"path": "nix.nc"}}, refused("nix.nc")),
        "scheme_unknown": ({"scheme": {"name": "musking"}}, refused("scheme", "musking")),
        "celerity_far": ({"parameters": {"celerity": {"initial": 7.0}}}, refused("celerity")),
        "uniform_grid_endless": ({"estimate": {"uniform_grid": 10**30}}, either(Nothing(), "uniform_grid")),
        "engine_cannot": (
            {"compute": {"engine": "closure"}, "scheme": {"name": "muskingum"}},
            either(answer, "engine"),
        ),
        "device_cuda": ({"compute": {"device": "cuda"}}, either(answer, "cuda|device")),
        "workers_serial": ({"compute": {"workers": 3}}, refused("workers")),
        "profile_gone": ({"compute": {"profile": "nix.yaml"}}, refused("nix.yaml")),
        "profile_is_data": ({"compute": {"profile": "n.csv"}}, refused("n.csv")),
        "name_is_a_path": ({"name": "../up"}, refused("name")),
        "folds_more_than_gauges": ({"gauges": {"folds": 50}}, refused("folds")),
    }
    for name, (sections, expect) in cases.items():

        def prepare(folder: Path, sections: dict[str, Any] = sections) -> None:
            OBSERVATIONS["nc"].write(folder)
            inputs.write_workflow(folder / "w.yaml", **sections)

        heavy = name.endswith("endless") or name == "parts_many"
        where = "fork" if heavy else "here"
        yield Mutation(f"workflow/meaning/{name}", prepare, ESTIMATE, expect, ("run",), (), where, 20.0)  # type: ignore[arg-type]
