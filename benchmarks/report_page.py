"""How long the report takes, how large its page is, how soon it opens and how smoothly its map moves.

    python benchmarks/report_page.py RUN [RUN …] [--made REACHES]

Each RUN is a finished run directory; it is copied first. `--made` makes the directory of a run with so many reaches
on a grid, with made-up parameters, 60 gauges and two years of days: 6,840,000 is a planet. Opens the page in headless
Chromium (playwright, `chromium` on PATH) and appends a row to report_page.csv. `…_fps` are frames a second; `…_cpu_ms`
is computing for a frame by all threads of the browser, whatever else runs. 6.84 million reaches need 6 GB.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from rivercut import graph
from rivercut.network import RiverNetwork

MOVE = """async (kind) => {
  const map = RG.page.map, times = [];
  let last = performance.now(), n = 0;
  return await new Promise((done) => {
    const step = () => {
      const now = performance.now();
      times.push(now - last);
      last = now;
      n++;
      if (kind === "pan") map.pan(n < 60 ? -12 : 12, n % 2 ? 2 : -2);
      else map.zoom(n < 60 ? 1.03 : 1 / 1.03);
      if (n < 120) requestAnimationFrame(step);
      else done(1000 * (times.length - 1) / times.slice(1).reduce((a, b) => a + b, 0));
    };
    requestAnimationFrame(step);
  });
}"""
RESULTS = Path(__file__).with_suffix(".csv")


def grid_network(reaches: int, seed: int = 1) -> RiverNetwork:
    """Reaches on the cells of a grid between 60° S and 75° N; each flows to one of three cells in the row below."""
    rng = np.random.default_rng(seed)
    rows = int(np.sqrt(reaches / 2.6))
    columns = reaches // rows
    row, column = np.divmod(np.arange(rows * columns), columns)
    drift = np.cumsum(
        rng.integers(-1, 2, (rows, columns // 40 + 1)), axis=0
    )  # neighbours bend alike, and meet
    towards = np.sign(drift[row, column // 40] % 7 - 3 + rng.integers(-1, 2, row.size))
    at = np.clip(column + towards, 0, columns - 1)
    downstream = np.where(row + 1 < rows, (row + 1) * columns + at, -1)
    lat, lon = 75.0 - 135.0 * row / rows, -180.0 + 360.0 * (column + 0.5) / columns
    length = np.full(row.size, 1.2e7 / rows)
    size = graph.accumulate(downstream, graph.topological_order(downstream), np.ones(row.size))
    return RiverNetwork(
        1 + np.arange(row.size), downstream, length, {"lat": lat, "lon": lon, "upstream_area_m2": 2e7 * size}
    )


def made_run(folder: Path, reaches: int) -> Path:
    """The directory of a run with so many reaches; the makers of the tests' runs make it."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "report"))
    from dummies import dummy_run

    network = grid_network(reaches)
    return dummy_run(folder, network, gauges=60, uncertainty=True, world="real")


def spent() -> float:
    """Seconds of computing by all processes below this one, the browser's."""
    import psutil

    times = [one.cpu_times() for one in psutil.Process().children(recursive=True)]
    return sum(one.user + one.system for one in times)


def measured(folder: Path) -> dict[str, Any]:
    """Seconds of the report, its size, and what a browser makes of it."""
    from playwright.sync_api import sync_playwright

    from rivergrad.report import write_report

    began = time.perf_counter()
    page_path = write_report(folder)
    seconds = time.perf_counter() - began
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(page_path.as_uri())
        page.wait_for_selector("html[data-map=drawn]", timeout=120_000)
        drawn = page.evaluate("performance.getEntriesByName('map drawn')[0].startTime") / 1000
        page.wait_for_selector("html[data-ready=yes]", timeout=120_000)
        ready = page.evaluate("performance.now()") / 1000
        page.evaluate("document.querySelector('#the-map').scrollIntoView()")
        rates = {}
        for name, zoom in (("all", 1), ("near", 4)):
            page.evaluate(
                "(z) => RG.page.map.centre(RG.page.about.map.width / 2, 500, RG.page.map.home * z)", zoom
            )
            page.wait_for_timeout(1500)
            for kind in ("pan", "zoom"):
                before = spent()
                rates[f"{kind}_{name}_fps"] = round(page.evaluate(MOVE, kind), 1)
                rates[f"{kind}_{name}_cpu_ms"] = round(1000 * (spent() - before) / 120, 1)
        lines = page.evaluate("RG.page.about.map.drawn")
        reaches = page.evaluate("RG.page.about.map.reaches")
        browser.close()
    return {
        "run": json.loads((folder / "run.json").read_text())["name"], "reaches": reaches, "lines": lines,
        "report_s": round(seconds, 2), "page_mb": round(page_path.stat().st_size / 1e6, 2),
        "map_drawn_s": round(drawn, 2), "all_ready_s": round(ready, 2), **rates,
    }  # fmt: skip


def main() -> None:
    """Measure, print and append."""
    import os

    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--made", type=int)
    parser.add_argument("--keep", type=Path, help="where the made run stays")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folders = [shutil.copytree(run, Path(temporary) / run.name) for run in given.runs]
        if given.made:
            folders.append(made_run(given.keep or Path(temporary) / "made", given.made))
        for folder in folders:
            row = measured(folder) | {
                "load": round(os.getloadavg()[0], 1), "cores": os.cpu_count(),
                "date": datetime.now(UTC).date().isoformat(),
            }  # fmt: skip
            print(row)
            new = not RESULTS.exists()
            with RESULTS.open("a", newline="") as file:
                writer = csv.DictWriter(file, list(row))
                if new:
                    writer.writeheader()
                writer.writerow(row)


if __name__ == "__main__":
    main()
