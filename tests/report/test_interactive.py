"""What the page's script is given: packed arrays, series, cells, reasons; and colours that all can tell apart."""

from __future__ import annotations

import base64
import itertools
import json
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from rivergrad.report import maps, write_report
from rivergrad.report.fields import fields_of
from rivergrad.report.interactive import reaches, series
from rivergrad.report.interactive.document import documents, theme_document
from rivergrad.report.interactive.gauges import moved_table, reasons
from rivergrad.report.interactive.packing import Pack, quantised
from rivergrad.report.panels import Page
from rivergrad.report.style import DARK, LIGHT, Theme
from rivergrad.report.uncertainty import hardly_told
from rivergrad.rundir.reading import read_run

sys.path.insert(0, str(Path(__file__).parent))  # dummies.py, whatever pytest's import mode

from dummies import dummy_network, dummy_run

Float = NDArray[np.float64]


def unpacked(text: str) -> dict[str, object]:
    """What the script makes of a `Pack`."""
    content = zlib.decompress(base64.b64decode(text))
    head = int(content[:8])
    found: dict[str, object] = {}
    for name, (kind, start, length) in json.loads(content[8 : 8 + head]).items():
        part = content[8 + head + start :][:length]
        assert (8 + head + start) % 8 == 0
        found[name] = json.loads(part) if kind == "json" else np.frombuffer(part, kind)
    return found


def series_of(text: str, count: int, top: float) -> Float:
    """What the script makes of a series: (names, time)."""
    content = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).astype(np.int64)
    low, high = np.split(content, 2)
    step = np.cumsum((low + 256 * high).reshape(-1, count), axis=1) & 65535
    return np.where(step == 65535, np.nan, (step / series.LEVELS) ** 2 * top)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("pack") / "run"
    return Page(read_run(dummy_run(folder, dummy_network(), gauges=12, uncertainty=True)))


def test_arrays_and_documents_come_back() -> None:
    pack = Pack()
    pack.add("a", np.array([1, 2, 3], np.uint8))
    pack.add("b", np.array([[1.5, np.nan], [2.0, -3.0]], np.float32))
    pack.add_document("c", {"x": float("nan"), "y": ["<b>"], "z": np.float64(0.5)})
    found = unpacked(pack.text())
    assert found["a"].tolist() == [1, 2, 3]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(found["b"], np.array([1.5, np.nan, 2.0, -3.0], np.float32))
    assert found["c"] == {"x": None, "y": ["<b>"], "z": 0.5}


@pytest.mark.parametrize("logarithmic", [False, True])
def test_quantised_values_are_right_to_half_a_step(logarithmic: bool) -> None:
    values = np.array([0.01, 0.3, 5.0, 80.0, np.nan])
    steps = quantised(values, 0.01, 80.0, logarithmic)
    share = steps[:4] / 65534
    back = 0.01 * 8000**share if logarithmic else 0.01 + share * 79.99
    np.testing.assert_allclose(
        back, values[:4], rtol=1e-4 if logarithmic else 0, atol=0 if logarithmic else 7e-4
    )
    assert steps[4] == 65535


def test_series_are_right_to_a_step_and_gaps_stay_gaps(page: Page) -> None:
    hydrographs = page.run.hydrographs
    for gauge in range(3):
        text = series.one_series(hydrographs, gauge)
        true = np.stack([values[:, gauge] for values in hydrographs.discharge.values()])
        found = series_of(text, true.shape[1], series.largest(true))
        assert (np.isnan(found) == np.isnan(true)).all()
        seen = np.isfinite(true)
        step = 2 * np.sqrt(series.largest(true) * true[seen]) / series.LEVELS
        assert (np.abs(found - true)[seen] <= 0.51 * step + series.largest(true) / series.LEVELS**2).all()


def test_the_band_holds_nine_of_ten_observations() -> None:
    rng = np.random.default_rng(2)
    estimate = rng.gamma(2.0, 30.0, 4000)
    observed = estimate * np.exp(rng.normal(0.1, 0.3, 4000))
    found = series.band(observed, estimate)
    assert found is not None
    low, high, more = found
    inside = (low * (estimate + more) - more <= observed) & (observed <= high * (estimate + more) - more)
    assert inside.mean() == pytest.approx(0.9, abs=0.002)
    assert series.band(observed[:29], estimate[:29]) is None


def test_worst_and_best_come_first_and_every_gauge_once() -> None:
    scores = [0.5, None, 0.9, -2.0, *np.linspace(0.0, 0.8, 26).tolist()]
    order = series.in_order(scores)
    assert sorted(order) == list(range(30))
    assert order[0] == 3
    assert order[3] == 2
    assert order[-1] == 1
    # what follows the ends is spread over the ranks, however soon it is cut off
    middle = sorted(scores[i] for i in order[6:14] if scores[i] is not None)  # type: ignore[type-var]
    assert middle[0] < 0.15  # type: ignore[operator]
    assert middle[-1] > 0.6  # type: ignore[operator]
    assert series.batches(["aa", "bb", "c", "dddd"], 4) == [[0, 1], [2], [3]]


def test_gauges_without_room_are_in_a_folder_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = dummy_run(tmp_path / "run", dummy_network(), gauges=12, years=1)
    monkeypatch.setattr(
        "rivergrad.report.write.documents", lambda page, fields: documents(page, fields, room=9000)
    )
    write_report(folder)
    pages = sorted((folder / "report-gauges").iterdir())
    assert len(pages) >= 2
    report = (folder / "report.html").read_text()
    assert f'href="report-gauges/{pages[0].name}"' in report
    assert "The page holds the hydrographs of the worst, of the best and of a sample" in report
    names = set(read_run(folder).hydrographs.gauge)
    page = Page(read_run(folder))
    found = documents(page, fields_of(page, ()), room=9000)
    records = unpacked(found.gauges)["gauges"]
    here = {one["name"] for one in records if "at" in one["series"]}  # type: ignore[attr-defined]
    there = [one["name"] for batch in found.batches for one in json.loads(batch.about)["records"]]
    assert here | set(there) == names
    assert len(here) + len(there) == len(names)
    write_report(folder)  # the folder is the run's own


def test_smaller_rivers_become_cells_and_larger_ones_stay_lines(page: Page) -> None:
    drawn = reaches.drawn_reaches(page, most=60)
    network = page.run.network
    assert 60 <= drawn.reach.size < network.n_reaches
    assert set(page.scores.position) <= set(drawn.reach.tolist())
    below = network.downstream[drawn.reach]
    assert np.isin(below[below >= 0], drawn.reach).all()  # no line ends before its river does
    found = unpacked(documents(page, fields_of(page, ()), most_lines=60).data)
    others = np.setdiff1d(np.arange(network.n_reaches), drawn.reach)
    cells, values = found["cell"], found["celerity.cell"]
    assert cells.size == values.size <= others.size  # type: ignore[attr-defined]
    assert (np.diff(cells) > 0).all()  # type: ignore[call-overload]
    # a cell has the geometric mean of its reaches, in steps of the colour scale
    about = json.loads(documents(page, fields_of(page, ()), most_lines=60).about)
    celerity = next(one for one in about["fields"] if one["name"] == "celerity")
    down, across = about["cells"]
    xy = reaches.View.of(page).to(page.frame.points(others))
    of = (xy[:, 1] / 1000.0 * down).astype(int) * across + (xy[:, 0] / about["map"]["width"] * across).astype(
        int
    )
    for cell, value in list(zip(cells.tolist(), values.tolist(), strict=True))[:20]:  # type: ignore[attr-defined]
        mean = np.exp(np.log(page.run.celerity[others[of == cell]]).mean())
        share = np.log(mean / celerity["min"]) / np.log(celerity["max"] / celerity["min"])
        assert value == pytest.approx(254 * np.clip(share, 0, 1), abs=1.1)
    # where no gauge informs a reach of a cell it has no colour, as such a reach is grey
    told, informed, hardly = found["cell_told"], page.run.informed, hardly_told(page.run)
    for cell, one in zip(cells.tolist(), told.tolist(), strict=True):  # type: ignore[attr-defined]
        here = others[of == cell]
        well, some = (informed & ~hardly)[here].any(), informed[here].any()
        assert one == (1 if well else 3 if some else 0)
    assert {0, 1} <= set(told.tolist())  # type: ignore[attr-defined]


def test_reasons_name_volume_timing_and_the_main_cause() -> None:
    good = {"nse": 0.97, "nse_uniform": 0.9, "kge_r": 0.99, "kge_alpha": 1.0, "kge_beta": 1.0, "bias": 0.0,
            "peak_error_days": 0.0}  # fmt: skip
    assert reasons(good) == [
        "Skill: good (NSE 0.97).",
        "Against the best uniform celerity: better than it by 0.070 in NSE.",
    ]
    wet = reasons({**good, "nse": 0.2, "kge_beta": 1.6, "bias": 0.6})
    assert "Main cause: volume, 100 % of what KGE loses." in wet
    assert any(text.startswith("Volume: 60 % too much water. Routing changes no volume") for text in wet)
    late = reasons(
        {**good, "nse": -0.4, "kge_r": 0.4, "peak_error_days": 3.0, "peak_error_days_uniform": 1.0}
    )
    assert "Skill: worse than the mean flow (NSE −0.40)." in late
    assert (
        "Timing: peaks are 3 days off (median), 1 with the best uniform celerity; correlation 0.40." in late
    )
    assert "Main cause: timing and shape, 100 % of what KGE loses." in late
    assert reasons({"nse": 0.6, "nse_uniform": 0.7}) == [
        "Skill: fair (NSE 0.60).",
        "Against the best uniform celerity: behind it by 0.100 in NSE.",
    ]
    assert reasons({"nse": np.nan})[0].startswith("No score")


def test_screened_and_moved_gauges_are_on_the_page(tmp_path: Path) -> None:
    folder = dummy_run(tmp_path / "run", dummy_network(40), gauges=3, years=1)
    head = "gauge,reach_id,what,found,expected,start,action\n"
    (folder / "screening.csv").write_text(head + '0007,101,flat line,"9 equal <values>",fewer,,dropped\n')
    (folder / "gauges.csv").write_text(
        "gauge,reach_id_given,reach_id,how,distance_m,area_m2,reach_area_m2,area_ratio,scale,status,reason\n"
        "0042,100,100,id,,,,,1.0,matched,\n0007,,103,position,1250.0,,,,1.0,matched,\n"
    )
    assert [row["gauge"] for row in moved_table(folder)] == ["0007"]
    report = write_report(folder).read_text()
    assert "9 equal &lt;values&gt;" in report
    assert "Gauges on another reach than the one given" in report
    page = Page(read_run(folder))
    records = unpacked(documents(page, fields_of(page, ())).gauges)["gauges"]
    (one,) = [record for record in records if record["name"] == "0007"]  # type: ignore[attr-defined]
    assert one["screened"]
    assert "Screening: flat line: 9 equal <values>; expected fewer (dropped)." in one["why"]
    assert "Placed on reach 103 by position, 1.2 km away." in one["why"]


def test_scales_fit_the_scores(page: Page) -> None:
    """Gauges that are all about as good still have different colours."""
    about = json.loads(documents(page, fields_of(page, ())).about)
    nse = page.run.metrics["nse"]
    scale = about["gauges"]["scales"]["nse"]
    assert nse.min() <= scale["min"] < scale["max"] <= nse.max()
    assert reaches.fitted_scale(0.96, 0.99)["ticks"] == [0.96, 0.97, 0.98, 0.99]
    same = reaches.fitted_scale(2.0, 2.0)
    assert same["min"] < 2.0 < same["max"]
    # pictures alike: 151 gauges from 0.96 to 0.997 are no 151 dots of one colour
    low, high = maps.score_range(np.append(np.linspace(0.96, 0.997, 150), -40.0))
    assert 0.95 < low < high < 1
    assert maps.score_range(np.array([np.nan])) == (0.0, 1.0)


def test_a_small_gain_has_a_colour_although_a_few_are_large() -> None:
    gain = np.r_[np.full(140, 0.02), np.full(11, 0.31)]
    norm = maps.change_norm(maps.change_limit(gain))
    assert norm(np.array([-0.4, -0.1, 0.0, 0.1, 0.4])).tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert float(norm(0.02)) > 0.6
    assert maps.change_ticks(0.4) == [-0.4, -0.1, 0.0, 0.1, 0.4]


# What people see who lack a kind of cone: Machado et al. (2009), doi:10.1109/TVCG.2009.113, at full severity.
SIGHT = {
    "all three cones": np.eye(3),
    "no red cones": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "no green cones": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "no blue cones": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def linear(colours: list[str]) -> Float:
    """Colours `#rrggbb` as linear RGB (m, 3)."""
    values = np.array([[int(one[i : i + 2], 16) for i in (1, 3, 5)] for one in colours]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(colours: list[str], sight: Float) -> Float:
    """CIE L*a*b* (m, 3) of colours as somebody sees them."""
    seen = np.clip(linear(colours) @ sight.T, 0, 1)
    xyz = seen @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    ratio = xyz / np.array([0.9505, 1.0, 1.089])
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def contrast(colour: str, page: str) -> float:
    """The contrast ratio of WCAG 2."""
    first, second = linear([colour, page]) @ np.array([0.2126, 0.7152, 0.0722])
    return float((max(first, second) + 0.05) / (min(first, second) + 0.05))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("sight", SIGHT)
def test_colours_are_told_apart_without_a_kind_of_cone(theme: Theme, sight: str) -> None:
    palettes = theme_document(theme)["palettes"]
    for name in ("river", "skill", "sureness"):
        seen = lab(palettes[name], SIGHT[sight])
        rise = np.diff(seen[::6, 0])
        assert (rise > 0).all() or (rise < 0).all(), f"{name}: lightness turns round"
        assert np.linalg.norm(np.diff(seen[::12], axis=0), axis=1).min() > 10, name
    change = lab(palettes["change"], SIGHT[sight])
    middle = change[23:25].mean(axis=0)
    for end in (change[6], change[41]):
        assert np.linalg.norm(end - middle) > 20
    assert np.linalg.norm(change[6] - change[41]) > 20  # worse and better
    assert contrast(palettes["change"][3], theme.page) >= 3  # the largest changes do not melt into the page
    assert contrast(palettes["change"][-4], theme.page) >= 3
    series_colours = theme.series_colours()
    for one, other in itertools.combinations(series_colours, 2):
        apart = float(
            np.linalg.norm(np.diff(lab([series_colours[one], series_colours[other]], SIGHT[sight]), axis=0))
        )
        assert apart > 15, f"{one} and {other} are {apart:.0f} apart"
    for name in series_colours:
        assert contrast(series_colours[name], theme.page) >= 3, name


def test_old_runs_without_further_scores_still_report(tmp_path: Path) -> None:
    folder = dummy_run(tmp_path / "run", dummy_network(30, positions=False), gauges=2, years=1, truth=False)
    history = pd.read_csv(folder / "history.csv")
    history.assign(validation_nse=np.nan).to_csv(folder / "history.csv", index=False)
    page = write_report(folder).read_text()
    assert 'id="course-loss"' in page
    assert 'id="course-validation_nse"' not in page
