"""`rivergrad partition`: cutting a network, and saying how well it went."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from rivergrad.cli.options import MOST_PARTS, NetworkPath, OutletWords, outlet_words


def partition(
    network: NetworkPath,
    parts: Annotated[
        int,
        typer.Option(
            "--parts", metavar="K", min=1, max=MOST_PARTS, help="The number of parts.", show_default=False
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", metavar="P.zarr", help="The store to write.", show_default=False)
    ],
    block_reaches: Annotated[
        int | None,
        typer.Option("--block-reaches", min=1, help="The most reaches in a block.", show_default=False),
    ] = None,
    spread: Annotated[
        bool, typer.Option("--spread", help="Deal blocks out so that basins are cut: the worst case.")
    ] = False,
    shallow: Annotated[
        bool, typer.Option("--shallow", help="Cut basins so that parts wait for each other once: on GPUs.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The seed of the graph partitioner.")] = 0,
    outlets: OutletWords = None,
) -> None:
    """Cut a network into parts and say how well it went."""
    from rich.console import Console
    from rich.table import Table

    from rivercut import store
    from rivercut.partition import partition as cut
    from rivergrad.cli.outputs import claim
    from rivergrad.errors import InputError
    from rivergrad.io import read_network
    from rivergrad.io.output import PARTITION

    if output.suffix != ".zarr":
        raise InputError(f"--output {output}: expected a name that ends in .zarr")
    claim(output, PARTITION, {"--network": network})
    rivers = read_network(network, outlets=outlet_words(outlets))
    began = time.perf_counter()
    result = cut(rivers, parts, block_reaches=block_reaches, spread=spread, shallow=shallow, seed=seed)
    seconds = time.perf_counter() - began
    summary = result.summary(rivers)
    store.write_partition(result, output)

    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for name, value in (
        ("parts", f"{summary.parts:,}"),
        ("reaches", f"{summary.reaches:,}"),
        ("blocks", f"{summary.blocks:,}"),
        ("reaches of the largest block", f"{summary.largest_block:,}"),
        ("cost balance (max/mean)", f"{summary.balance:.3f}"),
        ("cut edges", f"{summary.cut_edges:,}"),
        ("boundary reaches", f"{summary.boundary_reaches:,}"),
        ("basins cut", f"{summary.cut_basins:,}"),
        ("stages", f"{summary.stages:,}"),
        ("time", f"{seconds:.2f} s"),
    ):
        table.add_row(name, value)
    Console().print(table)
    typer.echo(output)
