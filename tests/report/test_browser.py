"""The page in a real browser: what it says, what it does when it is used, and that it asks nobody for anything.

Needs Chromium on this machine and the package playwright; rivergrad itself needs neither.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rivergrad.report import write_report
from rivergrad.report.fields import fields_of, reach_time
from rivergrad.report.interactive.document import documents
from rivergrad.report.panels import Page
from rivergrad.rundir.reading import read_run

sys.path.insert(0, str(Path(__file__).parent))  # dummies.py, whatever pytest's import mode

from dummies import dummy_network, dummy_run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

GAUGE = "<img src=x onerror=alert(1)>"
"""The name of a gauge that would run, were it markup."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = dummy_run(
        tmp_path_factory.mktemp("browser") / "run", dummy_network(), gauges=12, uncertainty=True, folds=3,
        first_gauge=GAUGE,
    )  # fmt: skip
    write_report(made)
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


class Opened:
    """A page that is open, with what it said and asked for."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready=yes]", timeout=60_000)

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def run(self, script: str, *arguments: Any) -> Any:
        return self.page.evaluate(script, *arguments)

    def place(self, kind: str, number: int) -> tuple[float, float]:
        """Where a gauge or the middle of a reach is in the window."""
        self.page.locator("#map").scroll_into_view_if_needed()
        x, y = self.run(
            """([kind, i]) => { const m = RG.page.map, [u, v] = kind === "gauge" ? RG.page.records[i].xy : m.middle(i);
            return [u * m.view.scale + m.view.x, v * m.view.scale + m.view.y]; }""",
            [kind, number],
        )
        box = self.page.locator("#map").bounding_box()
        return box["x"] + x, box["y"] + y


@pytest.fixture
def opened(browser: Any, folder: Path) -> Iterator[Opened]:
    one = Opened(browser, folder / "report.html")
    yield one
    assert one.said == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in one.asked)
    assert [url for url in one.asked if url.startswith("file:")] == [(folder / "report.html").as_uri()]
    one.context.close()


def test_only_the_scripts_of_the_page_run(opened: Opened) -> None:
    # later, so that it is the page that tries and not the debugger
    compiled = """() => new Promise((done) => setTimeout(() => {
        try { new Function("return 1")(); done("ran"); } catch { done("refused"); } }))"""
    assert opened.run(compiled) == "refused"
    opened.run(
        """() => { window.ran = false; const script = document.createElement("script");
        script.textContent = "window.ran = true"; document.body.append(script); }"""
    )
    assert opened.run("() => window.ran") is False
    assert any("Content Security Policy" in text for text in opened.said)
    opened.said.clear()  # what the browser says of the script that it refused


def test_hover_says_id_value_interval_and_identifiability(opened: Opened, folder: Path) -> None:
    page = Page(read_run(folder))
    reach = int(np.argmax(page.size))  # the widest river
    opened.page.select_option("#gauges", "none")
    opened.run("(i) => { const m = RG.page.map, [x, y] = m.middle(i); m.centre(x, y, m.home * 8); }", reach)
    opened.page.mouse.move(*opened.place("reach", reach))
    opened.page.wait_for_selector("#tip:not([hidden])")
    said = opened.text("#tip")
    assert f"Reach {page.run.network.reach_id[reach]}" in said
    assert f"Celerity: {page.run.celerity[reach]:.3g} m/s" in said
    assert page.run.celerity_lower is not None
    assert f"Nominal 90 % interval {page.run.celerity_lower[reach]:.3g} to" in said
    assert "Identifiability" in said
    opened.page.select_option("#field", "travel_time")
    opened.page.mouse.move(*[one + 1 for one in opened.place("reach", reach)])
    assert "days" in opened.text("#tip")
    assert "Travel time to the outlet" in opened.text("#legend")


def test_a_click_on_a_gauge_shows_its_hydrograph_scores_and_reasons(opened: Opened, folder: Path) -> None:
    run = read_run(folder)
    records = opened.run("() => RG.page.records.map((one) => one.name)")
    chosen = records.index(GAUGE)
    opened.run(
        "(i) => { const m = RG.page.map, [x, y] = RG.page.records[i].xy; m.centre(x, y, m.home * 30); }",
        chosen,
    )
    opened.page.mouse.click(*opened.place("gauge", chosen))
    opened.page.wait_for_function("name => document.documentElement.dataset.hydrograph === name", arg=GAUGE)
    assert opened.text("#gauge-name") == f"Gauge {GAUGE}"
    assert "Skill:" in opened.text("#why")
    assert "best uniform" in opened.text("#gauge-scores")
    drawn = opened.run(
        "() => [...RG.page.chart.source.data.observed].map((one) => Number.isNaN(one) ? null : one)"
    )
    true = run.hydrographs.discharge["observed"][:, run.hydrographs.gauge.index(GAUGE)]
    assert [one is None for one in drawn] == np.isnan(true).tolist()
    seen = np.isfinite(true)
    np.testing.assert_allclose(np.array(drawn, float)[seen], true[seen], atol=1e-3 * true[seen].max())
    assert opened.run("() => document.querySelector('#hydrograph').firstChild.shadowRoot !== null")
    # one of the lines is hidden and shown by its key
    opened.page.get_by_label("best uniform", exact=True).first.uncheck()
    assert opened.run("() => RG.page.chart.lines.uniform.visible") is False


def test_two_points_of_a_river_give_the_travel_time_between_them(opened: Opened, folder: Path) -> None:
    page = Page(read_run(folder))
    network, own = page.run.network, reach_time(page)
    assert own is not None
    top = int(
        network.order[
            np.argmax(np.array([network.downstream[network.downstream[i]] >= 0 for i in network.order]))
        ]
    )
    way = [top, int(network.downstream[top])]
    way.append(int(network.downstream[way[1]]))
    opened.page.fill("#search", str(network.reach_id[top]))
    opened.page.click("#found button")
    assert opened.text("#travel").startswith(f"A: Reach {network.reach_id[top]}")
    opened.page.fill("#search", "nowhere")
    assert "No such gauge or reach" in opened.text("#found")
    opened.page.fill("#search", "")
    opened.page.select_option("#gauges", "none")
    opened.run(
        "(i) => { const m = RG.page.map, [x, y] = m.middle(i); m.centre(x, y, m.home * 30); }", way[-1]
    )
    opened.page.mouse.click(*opened.place("reach", way[-1]))
    days = own[way].sum() / 86400
    text = f"{days:.3g} days" if days >= 1 else f"{24 * days:.3g} hours"
    said = opened.text("#travel")
    assert (
        f"Travel time {text} from reach {network.reach_id[top]} to reach {network.reach_id[way[-1]]}" in said
    )
    assert "3 reaches" in said
    low, time, high, apart = opened.run(
        "([way]) => { const t = RG.travel(RG.page.data, way); return [t.low, t.time, t.high, t.apart]; }",
        [way],
    )
    assert page.run.celerity_upper is not None
    assert network.length is not None
    assert low == pytest.approx((network.length / page.run.celerity_upper)[way].sum(), rel=1e-5)
    assert low < time - apart < time + apart < high  # independent errors make the narrower interval
    # reaches of which none is below the other
    outlets = np.flatnonzero(network.downstream < 0)
    assert outlets.size > 1
    said = opened.run(
        "([a, b]) => RG.page.between(a, b).map((one) => one.textContent ?? one).join('')",
        [int(outlets[0]), int(outlets[1])],
    )
    assert "does not pass" in said


def test_nothing_of_a_run_is_left_out(opened: Opened, folder: Path) -> None:
    """A hydrograph of every gauge, a distribution for every baseline, provenance, and links that lead to files."""
    run = read_run(folder)
    records = opened.run("() => RG.page.records")
    assert {one["name"] for one in records} == set(run.metrics["gauge"])
    assert all("at" in one["series"] for one in records)  # in the page itself: there is room
    names = ["estimate", "best uniform", "default", "unrouted"]
    for keys in ("#cdf-keys", "#hydrograph-keys"):
        said = opened.text(keys)
        assert all(name in said for name in names), keys
    links = opened.run("() => [...document.querySelectorAll('.files a')].map((a) => a.getAttribute('href'))")
    assert {"metrics.csv", "hydrographs.nc", "parameters.zarr", "maps/celerity.png"} <= set(links)
    assert all((folder / link).exists() for link in links)
    versions = opened.run("() => document.querySelectorAll('details')[1].textContent")
    for value in (run.info["git"], run.info["finished"], run.info["versions"]["torch"]):
        assert value in versions
    assert (folder / "report.html").stat().st_size < 15e6


def test_rings_of_gauges_hide_no_reach(opened: Opened) -> None:
    clear = """() => { const m = RG.page.map, view = m.frontView, r = m.ratio, { width, height } = m.rings;
        const { data } = m.rings.getContext("2d").getImageData(0, 0, width, height);
        return RG.page.records.filter((one) => one.xy).map((one) => {
            const x = Math.floor((one.xy[0] * view.scale + view.x + m.margin * m.width) * r);
            const y = Math.floor((one.xy[1] * view.scale + view.y + m.margin * m.height) * r);
            const alpha = (dx) => data[4 * (y * width + x + dx) + 3];
            return [alpha(0), Math.max(...Array.from({ length: 12 }, (_, dx) => alpha(dx)))]; }); }"""
    opened.run("() => RG.page.map.now()")
    found = opened.run(clear)
    assert all(ring > 200 for _, ring in found)  # it is drawn
    alone = [middle for middle, _ in found if middle == 0]
    assert len(alone) >= len(found) - 2  # but for gauges on top of each other, the middle is open


def test_the_table_sorts_filters_and_chooses(opened: Opened) -> None:
    page = opened.page
    names = lambda: [one.inner_text() for one in page.locator("#table tbody th").all()]  # noqa: E731
    records = opened.run("() => RG.page.records")
    head = page.locator("#table thead th", has_text="NSE")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    best_first = [one["name"] for one in sorted(records, key=lambda one: -one["nse"])]
    assert names() == best_first
    head.locator("button").press("Enter")
    assert names() == best_first[::-1]
    page.select_option("#which", "held")
    assert set(names()) == {one["name"] for one in records if one["held"]}
    page.select_option("#which", "all")
    page.fill("#filter", "<IMG")
    assert names() == [GAUGE]
    page.locator("#table tbody button").press("Enter")
    page.wait_for_function("name => document.documentElement.dataset.hydrograph === name", arg=GAUGE)
    assert page.locator("#table tbody tr").get_attribute("aria-selected") == "true"


def test_the_keyboard_moves_the_map_and_chooses(opened: Opened) -> None:
    page = opened.page
    before = opened.run("() => ({...RG.page.map.view})")
    page.focus("#map")
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    after = opened.run("() => ({...RG.page.map.view})")
    assert after["scale"] == pytest.approx(1.5 * before["scale"])
    page.keyboard.press("0")
    assert opened.run("() => RG.page.map.view.scale") == pytest.approx(before["scale"])
    gauge = 3
    opened.run(
        "(i) => { const m = RG.page.map, [x, y] = RG.page.records[i].xy; m.centre(x, y, m.home * 30); }",
        gauge,
    )
    page.keyboard.press("Enter")
    name = opened.run("(i) => RG.page.records[i].name", gauge)
    page.wait_for_function("name => document.documentElement.dataset.hydrograph === name", arg=name)
    # drag and wheel, the latter once the map has the focus
    x, y = opened.place("gauge", gauge)
    view = opened.run("() => ({...RG.page.map.view})")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 25, steps=4)
    page.mouse.up()
    moved = opened.run("() => ({...RG.page.map.view})")
    assert (moved["x"] - view["x"], moved["y"] - view["y"]) == (pytest.approx(40), pytest.approx(25))
    page.focus("#map")
    page.mouse.wheel(0, -200)
    page.wait_for_function("scale => RG.page.map.view.scale > scale", arg=view["scale"])


def test_a_phone_shows_the_estimate_first_and_cuts_nothing(browser: Any, folder: Path) -> None:
    one = Opened(
        browser, folder / "report.html", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True,
        color_scheme="dark",
    )  # fmt: skip
    assert one.run("() => document.documentElement.scrollWidth") == 390
    cut = one.run(
        """() => [...document.querySelectorAll("main *")]
        .filter((e) => e.checkVisibility() && !e.closest("details, #tip") && e.getBoundingClientRect().right > 390.5)
        .map((e) => e.tagName + "#" + e.id + "." + e.className).slice(0, 5)"""
    )
    assert cut == []
    tables = one.run(
        """() => [...document.querySelectorAll(".pair table:not(.bars) thead tr")]
        .map((row) => row.children[1].innerText)"""
    )
    assert tables[0] == tables[1] == "estimate"
    # a dark page is dark, map and charts included
    dark = one.run("() => getComputedStyle(document.body).backgroundColor")
    assert dark == "rgb(18, 24, 31)"
    assert one.run("() => RG.theme().name") == "dark"
    assert one.said == []
    one.context.close()


def test_paper_is_light_and_has_pictures_of_the_charts(browser: Any, folder: Path) -> None:
    one = Opened(browser, folder / "report.html", color_scheme="dark")
    one.run("() => dispatchEvent(new Event('beforeprint'))")
    one.page.emulate_media(media="print")
    assert one.run("() => RG.theme().name") == "light"
    printed = one.run(
        "() => [...document.querySelectorAll('canvas.printed')].map((c) => [c.checkVisibility(), c.width])"
    )
    assert len(printed) >= 5
    assert all(seen and width > 200 for seen, width in printed)
    assert one.run("() => document.querySelector('#table > .controls').checkVisibility()") is False
    closed = "() => document.querySelectorAll('details:not([open])').length"
    assert one.run(closed) == 0  # no heading stands over nothing
    one.run("() => dispatchEvent(new Event('afterprint'))")
    assert one.run("() => document.querySelectorAll('canvas.printed').length") == 0
    assert one.run(closed) == 2
    # axes of less than a decade have numbers all the same; the band's key looks like the band
    assert one.run("() => RG.logTicks(0.3, 6)") == [0.5, 1, 2, 5]
    assert one.run("() => RG.logTicks(0.5, 2e6)") == [1, 10, 100, 1000, 1e4, 1e5, 1e6]
    assert one.run("() => document.querySelectorAll('#hydrograph-keys .band').length") == 1
    assert one.said == []
    one.context.close()


def test_further_pages_of_hydrographs_work_alike(
    browser: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = tmp_path / "run"
    shutil.copytree(folder, made, ignore=shutil.ignore_patterns("maps", "report.html"))
    monkeypatch.setattr(
        "rivergrad.report.write.documents",
        lambda page, fields: documents(page, fields, room=9000, most_lines=80),
    )
    write_report(made)
    batch = documents(Page(read_run(made)), fields_of(Page(read_run(made)), ()), room=9000).batches[0]
    name = json.loads(batch.about)["records"][-1]["name"]
    one = Opened(browser, made / "report.html")  # with cells in place of the smaller rivers
    assert one.run("() => RG.page.data.cell.length") > 0
    one.run("(name) => RG.page.chooseGauge(RG.page.records.findIndex((r) => r.name === name))", name)
    one.page.click("#elsewhere a")
    one.page.wait_for_function("name => document.documentElement.dataset.hydrograph === name", arg=name)
    assert one.text("#gauge-name") == f"Gauge {name}"
    assert one.said == []
    one.context.close()
