"""The report: what it draws, what it says, and that it needs nothing but the run directory."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import re
import shutil
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.entries import BUILT_IN
from rivergrad.errors import InputError
from rivergrad.gauges.sizes import river_size
from rivergrad.registry import Entry
from rivergrad.report import write_report
from rivergrad.report.charts import best_year
from rivergrad.report.geographic import GeographicFrame, equal_earth, equal_earth_inverse, land_rings
from rivergrad.report.maps import celerity_panel, line_widths, log_scale
from rivergrad.report.page import duration
from rivergrad.report.panels import frame_of
from rivergrad.report.schematic import SchematicFrame, tree_positions
from rivergrad.report.scores import chosen_gauges, gauge_scores, score_table, spearman
from rivergrad.report.style import LIGHT, picture
from rivergrad.rundir.reading import METHODS, Terrain, read_run

sys.path.insert(0, str(Path(__file__).parent))  # dummies.py, whatever pytest's import mode

from dummies import dummy_network, dummy_run

FILES = ("maps/celerity.png", "maps/skill.png", "maps/hydrographs.png", "report.html")


def coloured(path: Path) -> int:
    """How many pixels of a PNG are clearly coloured: rivers, gauges and curves, not text, land or paper."""
    pixels = matplotlib.image.imread(path)[..., :3]
    return int(np.count_nonzero(np.ptp(pixels, axis=-1) > 0.25))


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with positions and a known truth, reported; one gauge has a hostile name."""
    folder = dummy_run(tmp_path_factory.mktemp("mapped") / "run", dummy_network(), first_gauge="<script>$x$")
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def schematic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without positions or truth, reported."""
    network = dummy_network(120, positions=False)
    folder = dummy_run(
        tmp_path_factory.mktemp("schematic") / "run", network, truth=False, world="real", gauges=4
    )
    write_report(folder)
    return folder


@pytest.mark.parametrize("kind", ["mapped", "schematic"])
def test_every_file_is_there_and_no_picture_is_blank(kind: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    for name in FILES:
        assert (folder / name).is_file()
    assert not list(folder.rglob("*.tmp-*"))
    for name in FILES[:3]:
        assert coloured(folder / name) > 2000, name


def test_the_page_holds_the_medians_and_marks_the_best(mapped: Path) -> None:
    page = (mapped / "report.html").read_text()
    metrics = pd.read_csv(mapped / "metrics.csv")
    for split, part in metrics.groupby("split"):
        for score in ("nse", "kge"):
            best = part[score].median()
            assert best > part[f"{score}_uniform"].median(), f"the dummy should be best on {split}"
            assert f"<strong>{best:.3f}</strong>" in page
            for method in METHODS[:3]:
                assert f"<td>{part[f'{score}_{method}'].median():.3f}</td>".replace("-", "−") in page
    for text in ("A dummy run", "1 March 2026", "muskingum", "2 min 31 s", "9, 3 held out", "torch"):
        assert text in page


def without_scripts(page: str) -> str:
    """The page without what scripts and their data hold."""
    return re.sub(r"(<script[^>]*>).*?(</script>)", r"\1\2", page, flags=re.DOTALL)


def test_the_page_refers_to_nothing_outside_itself(mapped: Path) -> None:
    page = without_scripts((mapped / "report.html").read_text())
    assert len(page) < 60_000
    assert not re.search(r"https?:|src=|@import|url\(", page)
    assert re.findall(r"<link [^>]*>", page) == ['<link rel="icon" href="data:,">']
    for name in re.findall(r'href="([^"#]+)"', page):
        assert name == "data:," or (mapped / name).exists(), name
    assert (mapped / "report.html").stat().st_size < 15e6


def test_the_policy_allows_the_scripts_of_the_page_and_no_other(mapped: Path) -> None:
    page = (mapped / "report.html").read_text()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digests = {
        f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in scripts
    }
    (allowed,) = re.findall(r"script-src ([^;]+);", policy)
    assert set(allowed.split()) == digests
    assert len(digests) == 3
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    # data is not run: its elements have a type that no browser knows as a script
    kinds = re.findall(r'<script type="([^"]+)"', page)
    assert set(kinds) == {"application/json", "text/plain"}


def test_names_are_text_not_markup(mapped: Path) -> None:
    whole = (mapped / "report.html").read_text()
    page = without_scripts(whole)
    assert len(re.findall("<script", page)) == 7
    assert "<script>$x$" not in whole
    assert "&lt;b&gt;as resolved&lt;/b&gt;" in page


def test_the_same_run_gives_the_same_bytes(schematic: Path) -> None:
    before = {name: (schematic / name).read_bytes() for name in FILES}
    write_report(schematic)
    assert {name: (schematic / name).read_bytes() for name in FILES} == before


@pytest.mark.parametrize(
    "name",
    [
        "run.json",
        "config.yaml",
        "network.zarr",
        "parameters.zarr",
        "metrics.csv",
        "history.csv",
        "hydrographs.nc",
    ],
)
def test_a_missing_file_is_named(name: str, schematic: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(schematic, folder, ignore=shutil.ignore_patterns("maps", "report.html", name))
    with pytest.raises(InputError, match=re.escape(name)):
        write_report(folder)
    assert not (folder / "report.html").exists()
    assert not (folder / "maps").exists()


def test_a_missing_column_or_variable_is_named(schematic: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(schematic, folder)
    table = pd.read_csv(folder / "metrics.csv")
    table.drop(columns="nse_uniform").to_csv(folder / "metrics.csv", index=False)
    with pytest.raises(InputError, match=r"metrics\.csv has no column nse_uniform"):
        write_report(folder)
    table.assign(split="tray").to_csv(folder / "metrics.csv", index=False)
    with pytest.raises(InputError, match="split is tray"):
        write_report(folder)
    shutil.copy(schematic / "metrics.csv", folder / "metrics.csv")
    (folder / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json: not JSON"):
        write_report(folder)


def test_parameters_are_matched_by_id_and_names_stay_text(mapped: Path) -> None:
    run = read_run(mapped)
    assert run.network.length is not None
    with xr.open_zarr(mapped / "parameters.zarr", consolidated=False) as data:
        stored = dict(
            zip(data["reach_id"].to_numpy().tolist(), data["celerity"].to_numpy().tolist(), strict=True)
        )
    assert run.celerity.tolist() == [stored[reach] for reach in run.network.reach_id.tolist()]
    assert "0014" in set(run.metrics["gauge"])
    assert run.lat is not None
    assert 0 < np.count_nonzero(run.informed) < run.network.n_reaches


def test_reaches_lacking_in_the_parameters_are_named(schematic: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(schematic, folder)
    shutil.rmtree(folder / "parameters.zarr")
    ids = read_run(schematic).network.reach_id[2:]
    data = xr.Dataset({"celerity": ("reach", np.ones(ids.size))}, coords={"reach_id": ("reach", ids)})
    data.to_zarr(folder / "parameters.zarr", consolidated=False)
    with pytest.raises(InputError, match="lacks reaches of the run's network: 100, 101"):
        write_report(folder)


def test_a_schematic_says_so(schematic: Path, mapped: Path) -> None:
    assert "A schematic, not a map" in (schematic / "report.html").read_text()
    assert "A schematic, not a map" not in (mapped / "report.html").read_text()
    assert "Spearman" not in (schematic / "report.html").read_text()
    assert "Spearman" in (mapped / "report.html").read_text()


def test_relief_and_land_are_drawn_where_they_belong() -> None:
    """The real world shows its coasts, a generated one its own relief: both colour the ground lightly."""
    network = dummy_network(60)
    lat, lon = np.asarray(network.attributes["lat"]), np.asarray(network.attributes["lon"])
    grid_lat, grid_lon = np.linspace(54, 42, 60), np.linspace(2, 18, 80)
    land = np.add.outer(grid_lat, grid_lon) > 58
    relief = Terrain(grid_lat, grid_lon, land, land * 100.0)

    def ground(coasts: bool, terrain: Terrain | None) -> NDArray[np.bool_]:
        frame = GeographicFrame(network, lat, lon, land=coasts, terrain=terrain)
        panel = celerity_panel(frame, np.ones(60), np.ones(60, bool), np.ones(60), "title")
        pixels = matplotlib.image.imread(io.BytesIO(picture(panel, LIGHT, (6.0, 5.0))), format="png")[..., :3]
        return (pixels.min(axis=-1) > 0.8) & (pixels.max(axis=-1) < 0.97)

    bare, real, generated = ground(False, None), ground(True, None), ground(False, relief)
    assert bare.mean() < 0.05
    assert real.mean() > 0.3
    # The land of this relief is the north-east half of the map, and north is up.
    height, width = generated.shape
    north_east = generated[height // 5 : height // 3, width // 2 : 2 * width // 3]
    south_west = generated[2 * height // 3 : 3 * height // 4, width // 5 : width // 3]
    assert north_east.mean() > 0.6
    assert south_west.mean() < 0.1


def test_the_land_belongs_to_the_real_world_only(mapped: Path) -> None:
    run = read_run(mapped)
    assert run.summary["world"] == "generated"
    real = {**run.info, "summary": {**run.summary, "world": "real"}}
    shades = [
        picture(
            celerity_panel(frame_of(one), one.celerity, one.informed, river_size(one.network), ""),
            LIGHT,
            (5.0, 4.0),
        )
        for one in (run, dataclasses.replace(run, info=real))
    ]
    grey = [matplotlib.image.imread(io.BytesIO(png), format="png")[..., :3].mean() for png in shades]
    assert grey[1] < grey[0] - 0.01


def test_lines_that_would_wrap_round_the_map_are_dropped() -> None:
    lon = np.array([179.0, -179.0, -178.0, 60.0, -60.0])
    lat = np.array([10.0, 11.0, 12.0, 0.0, 0.0])
    around = GeographicFrame(
        RiverNetwork([1, 2, 3, 4, 5], [1, 2, -1, -1, -1]), lat, lon, land=True, terrain=None
    )
    assert around.world
    assert around.line_reach.tolist() == [1]
    # Without the last two the map is a small one across the date line, and nothing wraps.
    near = GeographicFrame(RiverNetwork([1, 2, 3], [1, 2, -1]), lat[:3], lon[:3], land=True, terrain=None)
    assert not near.world
    assert near.line_reach.tolist() == [0, 1]
    assert np.ptp(near.lines[..., 0]) == pytest.approx(3.0)


def test_equal_earth_keeps_areas() -> None:
    """A cell has the same area in the plane as on the sphere, at every latitude: its definition."""
    lat, step = np.linspace(-85, 85, 18), 1e-4
    zero = np.zeros_like(lat)
    along = (equal_earth(lat, zero + step) - equal_earth(lat, zero - step)) / (2 * step)
    up = (equal_earth(lat + step, zero) - equal_earth(lat - step, zero)) / (2 * step)
    area = along[:, 0] * up[:, 1] - along[:, 1] * up[:, 0]
    np.testing.assert_allclose(area, np.cos(np.deg2rad(lat)), rtol=1e-5)


def test_equal_earth_and_its_inverse_agree() -> None:
    lat, lon = np.array([-60.0, 0.0, 33.0, 80.0]), np.array([-170.0, 5.0, 90.0, 179.0])
    back = equal_earth_inverse(*equal_earth(lat, lon).T)
    np.testing.assert_allclose(back, (lat, lon), atol=1e-4)
    assert np.isnan(equal_earth_inverse(np.array([179.0]), np.array([80.0]))[1]).all()


def test_the_land_outline_is_whole() -> None:
    rings = land_rings()
    assert all((ring[0] == ring[-1]).all() for ring in rings)
    assert all((np.abs(ring).max(axis=0) <= [180.0, 90.0]).all() for ring in rings)
    area = 0.0
    for ring in rings:
        height = np.sin(np.deg2rad(ring[:, 1]))
        area += float(np.sum(np.diff(ring[:, 0]) * (height[1:] + height[:-1]) / 2))
    # Land is 29.2 % of the Earth, whose area is the integral of sin(lat) over lon: 720 degrees.
    assert abs(area) / 720.0 == pytest.approx(0.29, abs=0.01)


def test_a_schematic_has_no_crossing_lines() -> None:
    network = dummy_network(300, positions=False, seed=8)
    assert network.length is not None
    top = network.length.copy()
    for i in network.order[::-1]:
        top[i] += top[network.downstream[i]] if network.downstream[i] >= 0 else 0.0
    foot = top - network.length
    x = tree_positions(network.downstream, network.order, top, foot, np.ones(300, bool))
    # Upright parts at the same x overlap in height only where one flows on into the other.
    for i in range(300):
        same = np.flatnonzero((np.abs(x - x[i]) < 0.5) & (np.arange(300) != i))
        overlap = np.minimum(top[same], top[i]) - np.maximum(foot[same], foot[i])
        assert overlap.max(initial=0.0) < 0.01 * top.max()
    # The bend of a tributary, level at its foot, runs into no upright part between it and its river.
    for i in np.flatnonzero(network.downstream >= 0):
        low, high = sorted((x[i], x[network.downstream[i]]))
        between = (x > low + 0.5) & (x < high - 0.5)
        through = between & (foot < foot[i] - 0.01 * top.max()) & (top > foot[i] + 0.01 * top.max())
        assert not through.any(), f"reach {i} crosses {np.flatnonzero(through)}"


def test_a_schematic_draws_the_largest_of_many_basins() -> None:
    downstream = np.where(np.arange(200) % 2 == 0, np.arange(200) + 1, -1)  # a hundred pairs
    frame = SchematicFrame(RiverNetwork(np.arange(200), downstream))
    assert "40 largest of 100 basins" in frame.note
    assert frame.line_reach.size == 80
    assert "reaches" in frame.note
    assert np.isnan(frame.points(np.arange(200))).all(axis=1).sum() == 120


def test_log_scale_gives_legible_ticks() -> None:
    for low, high in ((0.3, 4.0), (0.01, 90.0), (0.9, 1.1), (1.0, 1.0), (1.3, 1.9)):
        norm, ticks = log_scale(np.geomspace(low, high, 50))
        assert norm.vmin is not None
        assert norm.vmax is not None
        assert norm.vmin < norm.vmax
        assert 3 <= ticks.size <= 8
        assert (np.diff(ticks) > 0).all()
        assert norm.vmin * 0.999 <= ticks[0] <= ticks[-1] <= norm.vmax * 1.001


def test_line_widths_grow_with_the_river() -> None:
    widths = line_widths(np.array([1.0, 10.0, 1000.0]), 50)
    assert (np.diff(widths) > 0).all()
    assert (line_widths(np.ones(4), 70_000) < widths[0]).all()


def test_the_year_shown_is_the_last_well_observed_one() -> None:
    time = np.datetime64("2000-01-01", "ns") + np.arange(3 * 365) * np.timedelta64(1, "D")
    full = np.ones(time.size)
    assert best_year(time, full) == (730, 1095)
    late_gap = np.where(np.arange(time.size) > 800, np.nan, 1.0)
    assert best_year(time, late_gap) == (365, 730)
    assert best_year(time[:200], full[:200]) == (0, 200)
    start, stop = best_year(time, np.full(time.size, np.nan))
    assert stop - start == 365


def test_gauges_are_shown_from_best_to_worst_held_out_first(mapped: Path) -> None:
    run = read_run(mapped)
    shown = chosen_gauges(run, gauge_scores(run))
    held_out = [bool(run.hydrographs.held_out[one.gauge]) for one in shown]
    assert held_out == [True] * 3 + [False] * 3
    assert [one.subtitle.split(" · ")[0] for one in shown] == [
        f"{rank} {kind} gauge" for kind in ("held-out", "training") for rank in ("best", "median", "worst")
    ]
    scores = [float(one.subtitle.split("NSE ")[1].split(" ")[0]) for one in shown]
    assert scores[:3] == sorted(scores[:3], reverse=True)


def test_the_best_of_each_row_is_marked() -> None:
    columns = {f"nse_{method}": [0.3, 0.3] for method in METHODS[:2]} | {"nse_uniform": [0.7, 0.7]}
    metrics = pd.DataFrame({"split": ["train", "gauge"], "nse": [0.9, 0.6], **columns})
    rows = score_table(metrics.assign(kge=0.5), "nse")
    assert [row.gauges for row in rows] == [1, 1]
    # the estimate comes first, then the best uniform celerity
    assert [cell.best for cell in rows[0].cells] == [True, False, False, False]
    assert [cell.best for cell in rows[1].cells] == [False, True, False, False]


def test_gauges_without_scores_do_not_break_the_report(tmp_path: Path) -> None:
    folder = dummy_run(tmp_path / "run", dummy_network(40), gauges=2, years=1, truth=False)
    metrics = pd.read_csv(folder / "metrics.csv", dtype={"gauge": str})
    metrics[[name for name in metrics if name.startswith(("nse", "kge"))]] = np.nan
    metrics.to_csv(folder / "metrics.csv", index=False)
    page = write_report(folder).read_text()
    assert "No gauge has enough observations for a score." in page
    assert (folder / "maps/hydrographs.png").is_file()


def test_spearman_of_known_ranks() -> None:
    a = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert spearman(a, np.exp(a)) == pytest.approx(1.0)
    # 1 - 6 Σd² / (n (n² - 1)) with d = (0, 1, -1, 0, 0)
    assert spearman(a, np.array([1.0, 3.0, 2.0, 4.0, 5.0])) == pytest.approx(1 - 6 * 2 / 120)
    assert np.isnan(spearman(a, np.ones(5)))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.42, "0.4 s"),
        (41.2, "41 s"),
        (151.2, "2 min 31 s"),
        (119.7, "2 min 0 s"),
        (18720, "5 h 12 min"),
        (None, ""),
    ],
)
def test_durations_read_well(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_a_further_panel_of_rivergrads_own_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, alt = dummy_run(tmp_path / "run", dummy_network()), "Training loss by optimisation step."
    before = write_report(folder).read_text(encoding="utf-8").count(alt)
    more = Entry("panel", "history", "The course of the training again.", "rivergrad.report.panels:training")
    monkeypatch.setattr("rivergrad.entries.BUILT_IN", (*BUILT_IN, more))
    assert write_report(folder).read_text(encoding="utf-8").count(alt) > before
    assert (folder / "maps" / "panel-history.png").is_file()


def test_maps_as_vectors_on_request(tmp_path: Path) -> None:
    folder = dummy_run(tmp_path / "run", dummy_network(30), gauges=3, years=1)
    write_report(folder, maps="svg")
    names = {path.name for path in (folder / "maps").glob("*.svg")}
    assert {"celerity.svg", "skill-1.svg", "skill-2.svg", "hydrographs-1.svg", "truth.svg"} <= names
    text = (folder / "maps" / "celerity.svg").read_bytes()
    write_report(
        folder, maps="svg"
    )  # they are the run's own: the record lets them be replaced, by the same bytes
    assert (folder / "maps" / "celerity.svg").read_bytes() == text
    write_report(folder, maps="pdf")
    assert (folder / "maps" / "celerity.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(InputError, match="expected one of png, pdf, svg"):
        write_report(folder, maps="gif")


def test_each_picture_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of rivergrad's own panels are drawn for the folder of maps alone, not for the page."""
    drawn: list[object] = []

    def count(panel: object, theme: object, size: object, kind: str = "png") -> bytes:
        drawn.append(panel)
        return picture(panel, theme, size, kind)  # type: ignore[arg-type]

    monkeypatch.setattr("rivergrad.report.shot.picture", count)
    folder = dummy_run(tmp_path / "run", dummy_network(30), gauges=3, years=1, uncertainty=True)
    write_report(folder)
    # celerity, identifiability, uncertainty, two of skill, three hydrographs, coverage
    assert len(drawn) == 9
    assert len({id(one) for one in drawn}) == 9


def test_cautions_and_scores_by_size_are_on_the_page(mapped: Path, tmp_path: Path) -> None:
    """As the run wrote them down; a run of before has neither."""
    copy = tmp_path / "copy"
    shutil.copytree(mapped, copy)
    before = write_report(copy).read_text(encoding="utf-8")
    assert 'class="cautions"' not in before
    assert "By the size of the river" not in before
    scores = {f"{score}_{method}": 0.5 for score in ("nse", "kge") for method in METHODS}
    row = {"name": "largest third", "gauges": 7, "from": 2.5e9, "to": 4e12, **scores}
    info = json.loads((copy / "run.json").read_text())
    info["summary"]["cautions"] = ["Few gauges: <3>."]
    info["summary"]["sizes"] = {
        "of": "upstream_area_m2",
        "splits": {"train": {"classes": [row], "by_flow": scores | {"nse_estimate": 0.75}}},
    }
    (copy / "run.json").write_text(json.dumps(info))
    after = write_report(copy).read_text(encoding="utf-8")
    assert "<li>Few gauges: &lt;3&gt;.</li>" in after
    assert "2,500 to 4,000,000 km²" in after
    assert "0.750" in after
