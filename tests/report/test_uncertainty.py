"""What the report says and draws about uncertainty, further scores and cross-validation."""

from __future__ import annotations

import dataclasses
import io
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.colors import to_rgb

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.gauges.sizes import river_size
from rivergrad.report import measured, write_report
from rivergrad.report.maps import celerity_panel
from rivergrad.report.panels import frame_of
from rivergrad.report.style import DARK, LIGHT, Panel, picture
from rivergrad.report.tables import fold_tables, further_lines, percent, signed
from rivergrad.report.uncertainty import (
    Coverage,
    coverage,
    coverage_panel,
    hardly_told,
    identifiability_panel,
    limits,
    uncertainty_panel,
)
from rivergrad.rundir.reading import RunData, read_run
from rivergrad.rundir.verdict import number, verdict

sys.path.insert(0, str(Path(__file__).parent))  # dummies.py, whatever pytest's import mode

from dummies import dummy_network, dummy_run

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MAPS = {"celerity.png", "skill.png", "hydrographs.png", "identifiability.png", "uncertainty.png"}


@pytest.fixture(scope="module")
def sure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with uncertainty, a known truth and a cross-validation, reported. Tests read it only."""
    folder = dummy_run(
        tmp_path_factory.mktemp("sure") / "run", dummy_network(), gauges=12, uncertainty=True, folds=4
    )
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def run(sure: Path) -> RunData:
    return read_run(sure)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as older versions left it."""
    folder = dummy_run(tmp_path_factory.mktemp("plain") / "run", dummy_network(60), truth=False)
    write_report(folder)
    return folder


def words(folder: Path) -> str:
    """The page's text without its pictures, a space for every markup."""
    page = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", (folder / "report.html").read_text())
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(matplotlib.image.imread(io.BytesIO(png), format="png")[..., :3])


def test_maps_are_written_beside_the_page(sure: Path, plain: Path) -> None:
    assert {path.name for path in (sure / "maps").iterdir()} == MAPS | {"coverage.png"}
    assert {path.name for path in (plain / "maps").iterdir()} == MAPS - {
        "identifiability.png",
        "uncertainty.png",
    }
    for name in MAPS:
        picture = matplotlib.image.imread(sure / "maps" / name)[..., :3]
        assert np.count_nonzero(np.ptp(picture, axis=-1) > 0.25) > 2000, name


def test_uncertainty_is_matched_by_reach(sure: Path, run: RunData, plain: Path) -> None:
    with xr.open_zarr(sure / "parameters.zarr", consolidated=False) as data:
        ids = data["reach_id"].to_numpy()
        for name in ("identifiability", "celerity_log_sd", "celerity_lower", "celerity_upper"):
            stored = dict(zip(ids.tolist(), data[name].to_numpy().tolist(), strict=True))
            assert getattr(run, name).tolist() == [stored[reach] for reach in run.network.reach_id.tolist()]
    older = read_run(plain)
    assert older.identifiability is older.celerity_log_sd is older.celerity_lower is older.folds is None


def test_the_same_run_gives_the_same_bytes(sure: Path, tmp_path: Path) -> None:
    again = tmp_path / "run"
    shutil.copytree(sure, again, ignore=shutil.ignore_patterns("maps", "report.html"))
    write_report(again)
    assert (again / "report.html").read_bytes() == (sure / "report.html").read_bytes()
    for name in MAPS:
        assert (again / "maps" / name).read_bytes() == (sure / "maps" / name).read_bytes()


def test_coverage_counts_by_class(run: RunData) -> None:
    """Ten reaches: every class with a known number inside and outside of its interval."""
    told = np.array([0.9, 0.5, 0.7, 0.3, 0.1, 0.05, 0.0, 0.0, 0.0, 0.9])
    informed = np.array([1, 1, 1, 1, 1, 1, 1, 0, 0, 1], bool)
    inside = np.array([1, 1, 0, 1, 0, 1, 1, 0, 1, 1], bool)
    network = RiverNetwork(np.arange(10), np.full(10, -1), np.ones(10))
    truth = np.ones(10)
    truth[9] = np.nan  # counts nowhere
    ten = dataclasses.replace(
        run, network=network, informed=informed, identifiability=told, true_celerity=truth,
        celerity_lower=np.where(inside, 0.8, 1.1), celerity_upper=np.full(10, 1.3),
    )  # fmt: skip
    assert [(one.name.replace("\n", " "), one.inside, one.reaches) for one in coverage(ten)] == [
        ("all reaches", 6, 9),
        ("identifiability 0.5 or more", 2, 3),
        ("identifiability 0.1 to 0.5", 1, 2),
        ("identifiability below 0.1", 2, 2),
        ("upstream of no gauge", 1, 2),
    ]
    assert sum(one.reaches for one in coverage(ten)[1:]) == coverage(ten)[0].reaches
    assert coverage(ten)[1].share == pytest.approx(2 / 3)
    assert coverage(dataclasses.replace(ten, true_celerity=None)) == []
    assert coverage(dataclasses.replace(ten, celerity_lower=None)) == []
    no_classes = coverage(dataclasses.replace(ten, identifiability=None, informed=np.ones(10, bool)))
    assert [one.reaches for one in no_classes] == [9]


def test_bars_of_coverage_are_as_long_as_the_share() -> None:
    shares = (40, 80, 100)
    panel = coverage_panel([Coverage(f"class {share}", share, 100) for share in shares])
    drawn = pixels(picture(panel, LIGHT, (4.0, 3.2)))
    blue = (drawn[..., 2] > 0.7) & (drawn[..., 0] < 0.15)
    filled = np.r_[0, blue.sum(axis=1) > 20, 0]
    starts, stops = np.flatnonzero(np.diff(filled) == 1), np.flatnonzero(np.diff(filled) == -1)
    lengths = [
        np.ptp(np.flatnonzero(blue[start:stop].any(axis=0)))
        for start, stop in zip(starts, stops, strict=True)
    ]
    np.testing.assert_allclose(np.array(lengths) / lengths[-1], np.array(shares) / 100, atol=0.01)


def test_what_is_hardly_told_is_pale(run: RunData) -> None:
    pale = hardly_told(run)
    assert 0 < pale.sum() < run.informed.sum()
    assert not (pale & ~run.informed).any()
    assert run.identifiability is not None
    assert run.celerity_log_sd is not None
    frame, size = frame_of(run), river_size(run.network)
    one = np.ones(run.network.n_reaches, bool)

    def celerity(informed: np.ndarray, faint: np.ndarray | None) -> Panel:
        return celerity_panel(frame, run.celerity, informed, size, "", faint)

    def identifiability(informed: np.ndarray, faint: np.ndarray | None) -> Panel:
        return identifiability_panel(frame, run.identifiability, informed, size, faint)

    def uncertainty(informed: np.ndarray, faint: np.ndarray | None) -> Panel:
        return uncertainty_panel(frame, run.celerity_log_sd, informed, size, faint)

    for make in (celerity, identifiability, uncertainty):

        def saturation(faint: np.ndarray | None, make: Callable[..., Panel] = make) -> int:
            drawn = pixels(picture(make(one, faint), LIGHT, (6.0, 5.0)))
            return int((np.ptp(drawn, axis=-1) > 0.3).sum())

        full, some, none = saturation(None), saturation(pale), saturation(one)
        assert full == saturation(~one)
        assert full > some > none


def test_gauges_are_marked_where_they_are(run: RunData) -> None:
    frame, size = frame_of(run), river_size(run.network)
    assert run.identifiability is not None
    none = np.zeros(0, np.int64)

    def drawn(gauges: np.ndarray | None) -> np.ndarray:
        panel = identifiability_panel(frame, run.identifiability, run.informed, size, None, gauges)
        return pixels(picture(panel, LIGHT, (6.0, 5.0)))

    assert (drawn(none) == drawn(None)).all()
    # the legend is the same, so that what differs between two gauges is around these two
    changed = np.argwhere((drawn(np.array([0])) != drawn(np.array([5]))).any(axis=-1))
    assert 20 < len(changed) < 400


def test_what_is_not_sure_fades_into_the_page() -> None:
    """On either page the colour of the surest reach stands out from it more than that of the least sure one."""
    for theme in (LIGHT, DARK):
        colours, page = theme.sureness_colours(), np.array(to_rgb(theme.page))
        away = [abs(np.array(colours(share)[:3]).mean() - page.mean()) for share in (0.0, 0.5, 1.0)]
        assert away[0] < away[1] < away[2], theme.name


def test_grey_stays_grey_on_every_map(run: RunData) -> None:
    """Reaches that no gauge informs have no colour on the maps of identifiability and uncertainty, whatever it is."""
    assert run.identifiability is not None
    assert run.celerity_log_sd is not None
    frame, size = frame_of(run), river_size(run.network)
    for make, values in (
        (identifiability_panel, run.identifiability), (uncertainty_panel, run.celerity_log_sd),
    ):  # fmt: skip
        changed = np.where(run.informed, values, 0.77)
        before = picture(make(frame, values, run.informed, size), LIGHT, (6.0, 5.0))
        assert picture(make(frame, changed, run.informed, size), LIGHT, (6.0, 5.0)) == before
        flipped = np.where(run.informed, values[::-1], values)
        assert picture(make(frame, flipped, run.informed, size), LIGHT, (6.0, 5.0)) != before


def test_the_page_says_what_the_map_cannot_tell(sure: Path, run: RunData, plain: Path) -> None:
    text = words(sure)
    assert "What the map cannot tell" in text
    for sentence in limits(run):
        assert sentence in text
    grey = int(np.count_nonzero(~run.informed))
    pale = int(np.count_nonzero(hardly_told(run)))
    assert f"{grey} of {run.network.n_reaches} reaches" in limits(run)[0]
    assert f"{pale} hardly" in limits(run)[1]
    assert f"The {pale} pale ones are upstream of one" in text
    assert "This run has no uncertainty" in words(plain)
    assert "no interval shows that" not in words(plain)


def test_the_page_says_how_the_truth_is_covered(sure: Path, run: RunData, plain: Path) -> None:
    everywhere = coverage(run)[0]
    assert f"{100 * everywhere.share:.0f} % of the true celerities lie within" in words(sure)
    assert "of the true celerities" not in words(plain)
    assert run.identifiability is not None
    well = int(np.count_nonzero(run.informed & (run.identifiability >= 0.5)))
    assert f"over the {well} of them with an identifiability of 0.5 or more" in words(sure)


def test_intervals_stand_beneath_their_medians(sure: Path, run: RunData, plain: Path) -> None:
    page = (sure / "report.html").read_text()
    assert page.count("<small>0.612 to 0.823</small>") == 4  # a split each
    assert page.count("<small>−0.011 to +0.077</small>") == 4
    lines = further_lines(run)
    assert [line.name for line in lines] == ["train", "time", "gauge", "gauge and time"]
    part = run.metrics[run.metrics["split"] == "train"]
    texts = [text for text, _ in lines[0].cells]
    assert texts[0] == signed(part["nse"].median() - part["nse_uniform"].median())
    assert texts[1] == f"{(part['nse'] > part['nse_uniform']).sum()} of {len(part)}"
    assert texts[2:5] == [number(part[name].median()) for name in ("kge_r", "kge_alpha", "log_nse")]
    assert texts[5] == f"{100 * part['bias'].median():+.1f} %".replace("-", "−")
    assert texts[6] == f"{part['peak_error_days'].median():.1f}"
    assert lines[0].cells[2][1] == f"uniform {number(part['kge_r_uniform'].median())}"
    assert [percent(one) for one in (-0.0004, 0.0, 0.0312)] == ["0.0 %", "0.0 %", "+3.1 %"]  # no "−0.0 %"
    assert further_lines(read_run(plain)) == []
    assert "What kind of error is left" not in words(plain)


def test_folds_have_a_table(sure: Path, run: RunData, plain: Path) -> None:
    assert run.folds is not None
    assert "4 estimates, each without one of 4 folds of gauges" in words(sure)
    for split, table in zip(("gauge", "gauge_time"), fold_tables(run), strict=True):
        part = run.folds[run.folds["split"] == split]
        assert [line.name for line in table.lines] == ["1", "2", "3", "4", "all"]
        for line in table.lines:
            here = part if line.name == "all" else part[part["fold"] == int(line.name)]
            expected = [number(here["nse_uniform"].median()), number(here["nse"].median())]
            assert [text for text, _ in line.cells[:2]] == expected
            above = (here["nse"] > here["nse_uniform"]).sum()
            assert line.cells[3][0] == f"{above} of {len(here)}"
        better = int((part["nse"] > part["nse_uniform"]).sum())
        higher = sum(one["nse"].median() > one["nse_uniform"].median() for _, one in part.groupby("fold"))
        assert f"better at {better} of {len(part)} gauges" in table.note
        assert f"the higher one in {higher} of {part['fold'].nunique()} folds" in table.note
    assert fold_tables(read_run(plain)) == []


def test_the_verdict_is_that_of_the_cross_validation(run: RunData) -> None:
    """The estimate from all gauges has no gauge to be tested on; praise for its training score would be empty."""
    assert run.folds is not None
    trained = run.metrics[run.metrics["split"].isin(("train", "time"))]
    hardest = run.folds[run.folds["split"] == "gauge_time"]
    text = verdict(trained, run.folds)
    assert text.startswith("On held-out gauges in held-out time (cross-validated), the estimate is ")
    assert f"by NSE: median {number(hardest['nse'].median())} against " in text
    assert f"over {len(hardest)} gauges" in text
    assert verdict(trained).startswith("On training gauges in held-out time, the estimate")


def test_damaged_columns_are_named(sure: Path, tmp_path: Path) -> None:
    again = tmp_path / "run"
    shutil.copytree(sure, again, ignore=shutil.ignore_patterns("maps"))
    folds = pd.read_csv(again / "folds.csv")
    folds.drop(columns="fold").to_csv(again / "folds.csv", index=False)
    with pytest.raises(InputError, match=r"folds\.csv has no column fold"):
        read_run(again)
    folds.assign(log_nse="much").to_csv(again / "folds.csv", index=False)
    with pytest.raises(InputError, match="column log_nse holds something that is not a number"):
        read_run(again)


def test_a_higher_median_in_every_fold_is_not_yet_ahead(run: RunData) -> None:
    """Half of the gauges lose by little, the others win by less than chance could give."""
    uniform = np.tile([0.2, 0.5, 0.8], 4)
    estimate = uniform + np.tile([-0.001, 0.0005, -0.001], 4)
    table = pd.DataFrame(
        {"split": "gauge", "fold": np.repeat([1, 2, 3, 4], 3), "nse": estimate, "nse_uniform": uniform}
    )
    (found,) = fold_tables(replace(run, folds=table))
    assert "not distinguishable from the best uniform celerity by NSE: better at 4 of 12 gauges" in found.note
    assert "the higher one in 4 of 4 folds" in found.note
    (found,) = fold_tables(replace(run, folds=table.assign(nse=uniform + 0.01)))
    assert (
        "the estimate is ahead of the best uniform celerity by NSE: better at 12 of 12 gauges" in found.note
    )
    (found,) = fold_tables(replace(run, folds=table.assign(nse=uniform - 0.01)))
    assert "the estimate is behind the best uniform celerity by NSE: better at 0 of 12 gauges" in found.note


def test_nominal_intervals_stand_beside_what_was_measured(run: RunData, plain: Path, sure: Path) -> None:
    tables = {name: pd.read_csv(BENCHMARKS / f"{name}.csv") for name in ("interval_coverage", "twins")}
    found = tables["interval_coverage"]
    for method, held in measured.HELD.items():
        row = found[(found["method"] == method) & (found["seed"] == "all")].iloc[0]
        assert held == (round(100 * row["coverage"]), round(100 * row["coverage_identified"]))
    both = [found[(found["method"] == name) & (found["seed"] == "all")] for name in ("nonlinear", "own law")]
    flow = [round(100 * row["coverage_identified"].item()) for row in both]
    assert tuple(flow) == measured.HELD_WITH_FLOW
    twins = tables["twins"]
    assert twins[twins["model"].isin(measured.NO_DEVIATION)]["coverage_90"].max() < 0.055  # 5 %

    def said(method: str, kind: str = "hybrid", flow: object = None) -> str:
        one = dataclasses.replace(
            run,
            config=f"estimate: {{method: {method}}}\n",
            info={"summary": {"model": {"kind": kind, "flow": flow}}},
        )
        return measured.held_on_twins(one)

    assert "held 95 % of the true celerities, 93 % where" in said("gauss_newton")
    assert "held 94 % of the true celerities, 92 % where" in said("adam")
    assert "held at most 5 % of the true celerities" in said("adam", "attributes")
    assert "held 71 to 92 % of the true celerities" in said("adam", flow={"m": 0.3})
    assert measured.held_on_twins(read_run(plain)) == ""
    page = (sure / "report.html").read_text()
    # in the notes of two maps, and in what they cannot tell
    assert page.count("such intervals held 94 % of the true celerities") == 3
    assert "Truth within the nominal 90 % interval" in page
    assert not re.search(r"(?i)(?<!nominal )90 % interval (\$|</cap)", page)
    assert "The 90 % of the intervals is nominal" in words(sure)
