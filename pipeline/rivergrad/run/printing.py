"""The scores of a run as a table on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from rivergrad.run.folds import interval_text, print_folds
from rivergrad.run.tables import print_table, terminal
from rivergrad.rundir.reading import LEARNED_METHODS, methods_in
from rivergrad.rundir.suspects import named
from rivergrad.verbosity import quiet

HEADINGS = {"uniform": "best uniform", "physical": "physical prior", "two_step": "two-step"}
SPLIT_NAMES = {
    "train": "training gauges,\ntraining time",
    "time": "training gauges,\nheld-out time",
    "gauge": "held-out gauges,\ntraining time",
    "gauge_time": "held-out gauges,\nheld-out time",
}


def print_scores(summary: dict[str, Any]) -> None:
    """Print medians by split, folds and the verdict of `summary` (see run.json)."""
    if quiet():
        return
    console = terminal()
    table = Table(title="Median NSE (KGE)", title_justify="left")
    table.add_column("gauges and time")
    table.add_column("gauges", justify="right")
    first: dict[str, Any] = next(iter(summary["medians"].values()), {})
    methods = methods_in(name.removeprefix("nse_") for name in first)
    learned = [name for name in methods if name in LEARNED_METHODS]
    if learned:  # the other baselines are in metrics.csv and in the report
        methods = (*learned, "estimate")
    for name in methods:
        table.add_column(HEADINGS.get(name, name), justify="right")
    than = learned or ["uniform"]
    for name in than:
        table.add_column(f"estimate − {name.replace('_', '-')}\n(better at)", justify="right")
    for name, row in _rows(summary["medians"]):
        cells = [f"{row[f'nse_{one}']:.4f} ({row[f'kge_{one}']:.3f})" for one in methods]
        cells[-1] += "\n" + interval_text(row["nse_estimate_interval"])
        gains = []
        for other in than:
            key, better = (
                ("nse_difference", "nse_better")
                if other == "uniform"
                else (f"nse_over_{other}", f"nse_better_than_{other}")
            )
            gains.append(f"{row[key]:+.4f} ({row[better]})\n{interval_text(row[f'{key}_interval'], '+')}")
        table.add_row(name, f"{row['gauges']:,}", *cells, *gains)
    print_table(table, console)
    console.print(
        f"a..b: 90 % bootstrap interval of the median NSE; (better at): at how many gauges the estimate beats "
        f"{' and '.join(name.replace('_', '-') for name in than)}",
        highlight=False,
        soft_wrap=True,
    )
    suspects = {
        gauge: check
        for row in summary["medians"].values()
        for gauge, check in row.get("suspects", {}).items()
    }
    if suspects:
        console.print(
            f"suspects: held-out gauges that screening would drop: {named(suspects)}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    if "sizes" in summary:
        _print_sizes(summary["sizes"], console)
    if "folds" in summary:
        print_folds(summary["folds"], console)
    if "verdict" in summary:
        console.print(summary["verdict"], highlight=False, soft_wrap=True)
    if "choice" in summary:
        console.print(summary["choice"]["text"], highlight=False, soft_wrap=True)
    for text in summary.get("cautions", ()):
        console.print(f"caution: {text}", highlight=False, soft_wrap=True, markup=False)
    if "celerity_rank_correlation" in summary:
        console.print(
            "Spearman correlation of estimated and true celerity over "
            f"{summary['informed_reaches']:,} reaches upstream of a training gauge: "
            f"{summary['celerity_rank_correlation']:.3f}",
            highlight=False,
            soft_wrap=True,
        )


def _rows(medians: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The medians of each split, and those without the gauges that screening would drop."""
    for split, row in medians.items():
        yield SPLIT_NAMES[split], row
        if row.get("without_suspects"):
            count = len(row["suspects"])
            yield f"the same without\n{count} suspect{'' if count == 1 else 's'}", row["without_suspects"]


def _print_sizes(sizes: dict[str, Any], console: Console) -> None:
    """Print the scores of the split that was tested hardest, by the size of the river and weighted by flow."""
    split = next(
        (name for name in reversed(SPLIT_NAMES) if sizes["splits"].get(name, {}).get("classes")), None
    )
    if split is None:
        return
    found = sizes["splits"][split]
    by = "upstream area" if sizes["of"] == "upstream_area_m2" else "the number of reaches upstream"
    where = SPLIT_NAMES[split].replace("\n", " ")
    table = Table(title=f"Median NSE (KGE) by {by}: {where}", title_justify="left")
    table.add_column("rivers")
    table.add_column("gauges", justify="right")
    methods = methods_in(name.removeprefix("nse_") for name in found["classes"][0])
    for name in methods:
        table.add_column(HEADINGS.get(name, name), justify="right")
    for row in found["classes"]:
        cells = [f"{row[f'nse_{name}']:.4f} ({row[f'kge_{name}']:.3f})" for name in methods]
        table.add_row(f"{row['name']}\n{_ends(row, sizes['of'])}", f"{row['gauges']:,}", *cells)
    if mean := found["by_flow"]:
        cells = [f"{mean[f'nse_{name}']:.4f} ({mean[f'kge_{name}']:.3f})" for name in methods]
        table.add_row("mean by flow", "", *cells)
    print_table(table, console)


def _ends(row: dict[str, Any], of: str) -> str:
    low, high = row["from"], row["to"]
    if of == "upstream_area_m2":
        return f"{low / 1e6:,.0f} to {high / 1e6:,.0f} km²"
    return f"{low:,.0f} to {high:,.0f} reaches"
