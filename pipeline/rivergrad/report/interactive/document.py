"""What the script of the page is given: the packed arrays, and a document that says what they are."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.image
import numpy as np
from matplotlib.colors import Colormap, to_hex, to_rgb
from numpy.typing import NDArray

from rivergrad.report.fields import Field
from rivergrad.report.interactive.gauges import about_gauges, gauge_records
from rivergrad.report.interactive.packing import Pack, to_json
from rivergrad.report.interactive.reaches import View, add_fields, add_reaches, cells_shape, drawn_reaches
from rivergrad.report.interactive.scripts import scripts
from rivergrad.report.interactive.series import (
    ROOM,
    batches,
    in_order,
    one_series,
    records_of_series,
    time_axis,
)
from rivergrad.report.maps import FADE
from rivergrad.report.panels import Page
from rivergrad.report.style import DARK, DASHES, LIGHT, NO_METADATA, Theme
from rivergrad.rundir.contents import GAUGE_PAGES
from rivergrad.rundir.verdict import METHOD_NAMES

COLOURS = 48
"""Colours of a scale on the page."""
RELIEF_ACROSS = 900  # pixels of the relief under the map
MOST, LEAST = 13_500_000, 500_000
"""Characters of the page but for its text, and of hydrographs where the map has taken almost all of them."""
MOST_TRUTH = 4000  # points of the chart of estimate against truth


@dataclass(frozen=True)
class Batch:
    """A further page of hydrographs: its name in the run directory, its document, and its series."""

    name: str
    about: str
    series: str


@dataclass(frozen=True)
class Documents:
    """What the page holds as text: the document, the packed arrays, the series, and further pages of series."""

    about: str
    data: str
    series: str
    batches: tuple[Batch, ...]
    gauges: str
    count: int


def documents(
    page: Page, fields: Sequence[Field], room: int = ROOM, most_lines: int | None = None
) -> Documents:
    """Pack a run for its page.

    Args:
        page: the run.
        fields: what reaches can be coloured by.
        room: characters of hydrographs in the page; the others go to further pages.
        most_lines: reaches that are drawn as lines, by default `reaches.MOST_LINES`.
    """
    pack, view = Pack(), View.of(page)
    drawn = drawn_reaches(page) if most_lines is None else drawn_reaches(page, most_lines)
    about: dict[str, Any] = {"kind": "report", "map": add_reaches(pack, page, drawn, view)}
    about["fields"] = add_fields(pack, page, fields, drawn, view)
    about["cells"] = None if drawn.whole else list(cells_shape(view))
    about["relief"] = _add_ground(pack, page, view)
    records = gauge_records(page, drawn, view)
    about["gauges"] = about_gauges(page, records)
    about |= common(page)
    data = pack.text()
    relief = sum(len(text) for text in (about["relief"] or {}).values())
    scripted = sum(len(script.text) for script in scripts())
    room = max(min(room, MOST - len(data) - relief - scripted), LEAST) if room == ROOM else room
    texts, further = _add_series(page, records, room)
    gauges = Pack()
    gauges.add_document("gauges", records)
    about["courses"] = _courses(page)
    about["truth"] = _truth(page)
    about["first"] = _first(records)
    return Documents(to_json(about), data, "\n".join(texts), tuple(further), gauges.text(), len(records))


def common(page: Page) -> dict[str, Any]:
    """Colours, names, and the times of hydrographs."""
    return {
        "themes": {theme.name: theme_document(theme) for theme in (LIGHT, DARK)},
        "names": METHOD_NAMES,
        "dashes": DASHES,
        "time": time_axis(page.run.hydrographs),
    }


def theme_document(theme: Theme) -> dict[str, Any]:
    """The colours of a theme as the script takes them."""
    maps = {
        "river": theme.river_colours(),
        "sureness": theme.sureness_colours(),
        "change": theme.change_colours(),
        "skill": theme.skill_colours(),
    }
    palettes = {name: palette(colours) for name, colours in maps.items()}
    return {
        "name": theme.name, "page": theme.page, "ink": theme.ink, "muted": theme.muted, "grid": theme.grid,
        "land": theme.land, "graticule": theme.graticule, "uninformed": theme.uninformed, "mark": theme.mark,
        "series": theme.series_colours(), "palettes": palettes,
        "pale": {name: [_pale(one, theme) for one in colours] for name, colours in palettes.items()},
    }  # fmt: skip


def palette(colours: Colormap) -> list[str]:
    """A colour map in COLOURS steps."""
    return [str(to_hex(one)) for one in colours(np.linspace(0.0, 1.0, COLOURS))]


def _pale(colour: str, theme: Theme) -> str:
    mixed = (1 - FADE) * np.array(to_rgb(colour)) + FADE * np.array(to_rgb(theme.uninformed))
    return str(to_hex(tuple(mixed.tolist())))


def _add_ground(pack: Pack, page: Page, view: View) -> dict[str, str] | None:
    """Coasts and meridians as arrays; a relief as two pictures, by theme."""
    for name, lines in (("land", page.frame.outlines()), ("graticule", page.frame.graticule())):
        if lines:
            pack.add(name, np.concatenate([view.to(line) for line in lines]))
            pack.add(f"{name}_count", np.array([len(line) for line in lines], np.int32))
    found = {theme.name: page.frame.relief(theme, RELIEF_ACROSS) for theme in (LIGHT, DARK)}
    return {name: _png(pixels) for name, pixels in found.items() if pixels is not None} or None


def _png(pixels: NDArray[np.float64]) -> str:
    target = io.BytesIO()
    matplotlib.image.imsave(target, pixels, format="png", origin="lower", metadata=NO_METADATA)
    return base64.b64encode(target.getvalue()).decode("ascii")


def _add_series(page: Page, records: list[dict[str, Any]], room: int) -> tuple[list[str], list[Batch]]:
    """Give each record its series: a line of the page, or the name of a further page; the lines, and those pages."""
    hydrographs = page.run.hydrographs
    column = {name: i for i, name in enumerate(hydrographs.gauge)}
    order = [i for i in in_order([one["nse"] for one in records]) if records[i]["name"] in column]
    texts = [one_series(hydrographs, column[records[i]["name"]]) for i in order]
    groups = batches(texts, room)
    for place, i in enumerate(groups[0]):
        records[order[i]]["series"] = {
            **records_of_series(hydrographs, column[records[order[i]]["name"]]),
            "at": place,
        }
    further = []
    for number, group in enumerate(groups[1:], 1):
        name = f"{GAUGE_PAGES}/{number:04d}.html"
        own = []
        for i in group:
            record = records[order[i]]
            record["series"] = {"page": name}
            series = records_of_series(hydrographs, column[record["name"]])
            own.append({"name": record["name"], "why": record["why"], "series": series})
        about = {"kind": "hydrographs", "records": own, "methods": list(page.methods), **common(page)}
        further.append(Batch(name, to_json(about), "\n".join(texts[i] for i in group)))
    return [texts[i] for i in groups[0]], further


def _courses(page: Page) -> list[dict[str, Any]]:
    """The loss and the validation score by step."""
    history, found = page.run.history, []
    kept = page.run.summary.get("best_step")
    step = history["step"].to_numpy(dtype=np.float64)
    for column, title, label in (
        ("loss", "Training loss", "loss"),
        ("validation_nse", "Score on the validation data", "score"),
    ):
        values = history[column].to_numpy(dtype=np.float64)
        seen = np.isfinite(values) & np.isfinite(step)
        if not seen.any():
            continue
        spread = values[seen].max() > 8 * values[seen].min() > 0
        found.append(
            {
                "id": f"course-{column}", "x": step[seen].tolist(), "y": values[seen].tolist(), "title": title,
                "label": label, "log": bool(spread and column == "loss"),
                "kept": float(kept) if isinstance(kept, int | float) else None,
            }
        )  # fmt: skip
    return found


def _truth(page: Page) -> dict[str, Any] | None:
    """Estimate and truth of reaches that a gauge informs, a sample where there are many."""
    truth = page.truth
    if truth is None or not truth.true.size:
        return None
    every = max(1, truth.true.size // MOST_TRUTH)
    true, estimate = truth.true[::every], truth.estimate[::every]
    both = np.r_[true, estimate]
    return {
        "x": [float(f"{one:.4g}") for one in true], "y": [float(f"{one:.4g}") for one in estimate],
        "low": float(both.min()) / 1.08, "high": float(both.max()) * 1.08,
    }  # fmt: skip


def _first(records: Sequence[dict[str, Any]]) -> int | None:
    """The gauge that is shown first: the median one of those held out, or of all."""
    shown = [i for i, one in enumerate(records) if "at" in one.get("series", {}) and one["nse"] is not None]
    held_out = [i for i in shown if records[i]["held"]]
    ranked = sorted(held_out or shown, key=lambda i: (records[i]["nse"], i))
    return ranked[len(ranked) // 2] if ranked else None
