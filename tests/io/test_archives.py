"""Archives of observed discharge: samples of every format against what is known of them, and each trap on its own."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tiny_archives import CAMELS, CFS, DATASETS, ESTREAMS, GEOGLOWS, JSON, TEXTS, write

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.io import PlacementSettings, Quality, Steps, read_observations
from rivergrad.io.formats import detect
from rivergrad.io.observed.gather import records_of

ONE = RiverNetwork.from_ids([7], [-1], [1000.0], {"lat": [10.0], "lon": [20.0], "upstream_area_m2": [86.4e6]})
FREE = PlacementSettings(distance=1e8, area_tolerance=1e9)


@pytest.fixture(scope="module")
def samples(data_dir: Path) -> Path:
    folder = data_dir / "formats"
    if not folder.is_dir():
        pytest.skip(f"samples of formats not found at {folder}")
    return folder


@pytest.fixture(scope="module")
def facts(samples: Path) -> dict:
    return json.loads((samples / "facts.json").read_text())


def totals(paths: object) -> tuple[float, int, int]:
    """Sum of what is there in the file's unit, number of missing values, number of gauges."""
    records, _, _ = records_of(paths)
    return (
        float(sum(np.nansum(one.values) for one in records)),
        int(sum(np.isnan(one.values).sum() for one in records)),
        len({one.gauge for one in records}),
    )


class TestSamples:
    def test_usgs_rdb(self, samples: Path, facts: dict) -> None:
        (one,) = records_of(samples / "usgs_rdb/RDB1Example.txt")[0]
        known = facts["usgs_rdb"]
        assert (one.gauge, one.unit, len(one.values)) == (known["site"], "ft3/s", known["days"])
        assert str(one.time[0])[:10] == known["first"]
        assert one.values.sum() == known["sum_cfs"]

    def test_usgs_json_takes_discharge_alone(self, samples: Path) -> None:
        records, _, _ = records_of(samples / "usgs_rdb/waterservices_dv.json")
        assert {one.gauge: one.values.tolist() for one in records} == {
            "01491000": [466.0, 362.0],
            "01645000": [179.0, 136.0],
        }
        assert records[0].utc_offset == -5 * 3600
        assert (records[0].lat, records[0].lon) == (38.99719444, -75.7858056)

    def test_waterml2(self, samples: Path) -> None:
        (one,) = records_of(samples / "usgs_rdb/WaterML2Example.xml")[0]
        assert (one.gauge, one.unit, len(one.values)) == ("01646500", "ft3/s", 8)
        assert (one.values[0], one.values[-1], one.flags[0]) == (2690.0, 2300.0, "P")
        assert one.lat == 38.94977778

    def test_camels_us(self, samples: Path, facts: dict) -> None:
        known = facts["camels_us/01022500"]
        (one,) = records_of(samples / "camels_us/01022500_streamflow_qc.txt")[0]
        assert (one.values.sum(), len(one.values)) == (known["sum_cfs"], known["days"])
        assert sorted(set(one.flags)) == known["flags"]

    def test_caravan_of_many_gauges(self, samples: Path, facts: dict) -> None:
        known = facts["caravan"]
        network = RiverNetwork.from_ids(
            [1, 2], [-1, -1], [1e3, 1e3], {"lat": [44.60797, 35.14333], "lon": [-67.93524, -82.82472]}
        )
        found = read_observations(samples / "caravan/ewatercycle_test_caravan_file.nc", network)
        assert found.gauge.tolist() == known["basins"]
        np.testing.assert_allclose(found.discharge.mean(axis=0), known["mean_m3s"], rtol=1e-6)

    @pytest.mark.parametrize("form", ["csv", "netcdf"])
    def test_caravan_of_one_gauge_takes_the_area_of_the_attributes(
        self, samples: Path, facts: dict, form: str
    ) -> None:
        found = read_observations(samples / "caravan/timeseries" / form, ONE, placement=FREE)
        assert found.gauge.tolist() == ["camels_01022500"]
        np.testing.assert_allclose(found.discharge.mean(), facts["caravan"]["mean_m3s"][0], rtol=1e-4)

    def test_grdc_text(self, samples: Path, facts: dict) -> None:
        total, missing, _ = totals(samples / "grdc/text")
        # facts.json has 561: 1..33 with a 1 in place of the first value, which is -999
        assert (total, missing) == (facts["grdc/text"]["sum"] - 1, 1)
        (one,) = records_of(samples / "grdc/text")[0]
        assert (one.gauge, one.lat, one.area) == ("6435060", 12.3456789, 123465e6)
        assert len(one.values) == facts["grdc/text"]["lines"]

    def test_grdc_netcdf(self, samples: Path, facts: dict) -> None:
        known = facts["grdc/netcdf"]
        total, missing, gauges = totals(samples / "grdc/netcdf/GRDC-Daily.nc")
        assert total == pytest.approx(known["sum_valid"], rel=1e-12)
        assert (missing, gauges) == (known["missing"], len(known["stations"]))
        one = records_of(samples / "grdc/netcdf/GRDC-Daily.nc")[0][0]
        assert (one.area, one.lon, str(one.time[0])[:10]) == (159300e6, 6.39, "1980-01-01")

    def test_geoglows_gauge_finds_its_reach(self, samples: Path, facts: dict) -> None:
        network = RiverNetwork.from_ids([780029448], [-1], [1e3])
        found = read_observations(samples / "geoglows_gauge_csv/21017060.csv", network)
        assert network.reach_id[found.reach].tolist() == [780029448]
        assert found.discharge.sum() == pytest.approx(facts["geoglows_gauge_csv"]["sum"])

    def test_lamah(self, samples: Path, facts: dict) -> None:
        known = facts["lamah_ce"]
        folder = samples / "lamah_ce/D_gauges/2_timeseries/daily"
        total, missing, _ = totals(folder)
        assert total == pytest.approx(known["sum_valid"])
        assert missing == known["missing"]
        pytest.importorskip("pyproj")
        found = read_observations(folder, ONE, placement=FREE)
        assert found.placement.rows[0].area == 4647.9e6

    def test_estreams_matches_its_table_by_basin_id(self, samples: Path) -> None:
        at = RiverNetwork.from_ids([1], [-1], [1e3], {"lat": [47.2732], "lon": [9.5349]})
        found = read_observations(
            samples / "estreams/streamflow_AT000001.csv",
            at,
            stations=samples / "estreams/estreams_gauging_stations.csv",
        )
        assert found.placement.rows[0].area == 4647.9e6
        assert np.isnan(found.discharge).sum() == 1

    def test_raven_rvt(self, samples: Path, facts: dict) -> None:
        known = facts["raven/obs_rvt"]
        (one,) = records_of(samples / "raven/Qobs_daily_cut.rvt")[0]
        assert (len(one.values), str(one.time[0])[:10]) == (known["days"], known["first"])
        assert np.isnan(one.values).sum() == known["missing_m1_2345"]
        assert np.nansum(one.values) == pytest.approx(known["sum_valid"])

    def test_raven_netcdf_is_transposed(self, samples: Path, facts: dict) -> None:
        total, missing, _ = totals(samples / "raven/WSC02LE024_1000d.nc")
        assert (round(total, 1), missing) == (
            facts["raven/obs_nc"]["sum_valid"],
            facts["raven/obs_nc"]["missing"],
        )

    def test_wflow(self, samples: Path) -> None:
        names = {"6349410", "6349400", "6349411"}
        for file in ("output.csv", "gauges_observed_flow.csv"):
            assert {one.gauge for one in records_of(samples / "wflow" / file)[0]} == names
        (one,) = records_of(samples / "wflow/output_scalar.nc")[0]
        assert one.values[1] == pytest.approx(217.12627)

    def test_rapid_qout(self, samples: Path, facts: dict) -> None:
        files = {
            "xx": "Qout_erai_t511_24hr_1980.nc",
            "texas_cut": "Qout_erai_t511_3hr_19800101.nc",
            "sandbox": "Qout_Sandbox_19700101_19700110.nc4",
        }
        for case, file in files.items():
            total, _, gauges = totals(samples / "rapid1" / case / file)
            known = facts[f"rapid1/{case}"]
            assert total == pytest.approx(known["Qout_sum"], rel=1e-6)
            assert gauges == known["reaches"]
        records, _, _ = records_of(samples / "rapid1/xx" / files["xx"])
        assert [one.reach_id for one in records] == facts["rapid1/xx"]["Qout_rivid"]


# -- small files of every format, made here ------------------------------------------------------------------


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: write(name, tmp_path)


@pytest.fixture
def stations(tmp_path: Path) -> Path:
    """Every gauge of the files above on the one reach, 8640 km2."""
    path = tmp_path / "stations.csv"
    names = ("01022500", "6435060", "7", "AT01", "x", "A")
    path.write_text("gauge,reach_id,area_km2\n" + "".join(f"{name},7,8640\n" for name in names))
    return path


def read(path: object, stations: Path | None, **options: object):
    return read_observations(path, ONE, placement=FREE, stations=stations, **options)


@pytest.mark.parametrize("name", [*TEXTS, *DATASETS])
def test_every_format_is_told_and_gives_m3_a_second(
    name: str, make: Callable[[str], Path], stations: Path
) -> None:
    path = make(name)
    assert detect(path, "observations").name == name.removesuffix("_many")
    if name == "estreams":
        path.write_text(
            ESTREAMS.replace(",AT02", "").replace(",1\n", "\n").replace(",2\n", "\n").replace("300,3", "300")
        )
    found = read(path, stations)
    factor = TEXTS[name][2] if name in TEXTS else 1.0
    np.testing.assert_allclose(found.discharge[:, 0], np.array([100.0, np.nan, 300.0]) * factor, rtol=1e-12)
    assert str(found.time[0])[:10] == "2001-01-01"
    assert found.step == 86400.0


@pytest.mark.parametrize("name", list(TEXTS))
@pytest.mark.parametrize("wrong", ["empty", "cut", "word", "twice", "other"])
def test_a_bad_file_is_one_line(name: str, wrong: str, make: Callable[[str], Path], stations: Path) -> None:
    path = make(name)
    text = path.read_bytes().decode("latin-1")
    if wrong == "empty":
        text = ""
    elif wrong == "cut":
        last = text.rstrip().rfind("\n") + 1 or len(text) - 30  # in the last line, or in the only one
        text = text[: last + 4]
    elif wrong == "word":
        text = text.replace("300", "3O0").replace(",3.0", ",3.O")
    elif wrong == "twice":
        text = text.replace("01-03", "01-01").replace("2001;1;3", "2001;1;1").replace("01 03", "01 01")
        text = text.replace(" 1 3\n100", " 1 4\n100") if name == "raven_rvt" else text
    else:
        text = "col,other\n1,2\n"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError) as caught:
        read(path, stations, format=name)
    assert len(str(caught.value)) <= 300, str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", DATASETS)
def test_a_damaged_dataset_is_one_line(name: str, make: Callable[[str], Path], stations: Path) -> None:
    path = make(name)
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"col,other\n1,2\n"):
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            read(path, stations, format=name.removesuffix("_many"))
        assert len(str(caught.value)) <= 300


class TestMany:
    def test_list_pattern_and_folder_are_the_same(self, tmp_path: Path, stations: Path) -> None:
        folder = tmp_path / "gauges"
        folder.mkdir()
        for name in ("a", "b"):
            (folder / f"{name}.csv").write_text(GEOGLOWS)
        (folder / "README.md").write_text("nothing")
        stations.write_text("gauge,reach_id\na,7\nb,7\n")
        by_list = read([folder / "a.csv", folder / "b.csv"], stations)
        assert by_list.gauge.tolist() == ["a", "b"]
        for paths in (str(folder / "*.csv"), folder):
            np.testing.assert_array_equal(read(paths, stations).discharge, by_list.discharge)

    def test_a_gauge_in_two_files_is_joined_and_never_twice(self, tmp_path: Path, stations: Path) -> None:
        (tmp_path / "one.txt").write_text(CAMELS)
        later = CAMELS.replace(" 01 0", " 02 0")
        (tmp_path / "two.txt").write_text(later)
        found = read([tmp_path / "one.txt", tmp_path / "two.txt"], stations)
        assert (found.gauge.tolist(), np.isfinite(found.discharge).sum()) == (["01022500"], 4)
        (tmp_path / "two.txt").write_text(CAMELS)
        with pytest.raises(InputError, match="two values for gauge '01022500' at 2001-01-01"):
            read([tmp_path / "one.txt", tmp_path / "two.txt"], stations)

    def test_a_pattern_without_files_and_a_folder_without_any(self, tmp_path: Path, stations: Path) -> None:
        with pytest.raises(InputError, match="no file has such a name"):
            read(str(tmp_path / "*.rdb"), stations)
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match="holds no file of observations"):
            read(tmp_path / "empty", stations)

    def test_a_file_of_no_archive_among_many(self, make: Callable[[str], Path], tmp_path: Path) -> None:
        (tmp_path / "own.csv").write_text("time,gauge,reach_id,discharge\n2001-01-01,A,7,1\n")
        with pytest.raises(InputError, match="of no format of observations that is known for many files"):
            read([make("camels_us"), tmp_path / "own.csv"], None)


class TestStations:
    def test_a_number_that_lost_its_zero_is_found(self, make: Callable[[str], Path], stations: Path) -> None:
        stations.write_text("site_no;lat;lon\n1022500;10;20\n")
        found = read(make("camels_us"), stations)
        assert found.gauge.tolist() == ["01022500"]

    def test_the_table_of_the_usgs(self, make: Callable[[str], Path], stations: Path) -> None:
        stations.write_text(
            "# x\nagency_cd\tsite_no\tdec_lat_va\tdec_long_va\tdrain_area_va\n5s\t15s\t16s\t16s\t8s\n"
            "USGS\t01022500\t10.0\t20.0\t100\n"
        )
        row = read(make("usgs_rdb"), stations).placement.rows[0]
        assert row.area == pytest.approx(258.9988e6, rel=1e-6)

    def test_gages_of_a_route_link(self, make: Callable[[str], Path], tmp_path: Path) -> None:
        path = tmp_path / "RouteLink.nc"
        xr.Dataset(
            {
                "link": ("feature_id", [5, 7]),
                "gages": ("feature_id", np.array([b"   ", b"       01022500"], "S15")),
            }
        ).to_netcdf(path, engine="netcdf4")
        assert read(make("camels_us"), path).gauge.tolist() == ["01022500"]

    @pytest.mark.parametrize(
        ("table", "match"),
        [
            ("name,lat\nA,1\n", "has no column of gauges"),
            ("gauge,lat\n01022500,north\n", "holds 'north' in row 1"),
            ("gauge,lat\nB,1\n", "has none of the gauges 01022500"),
            ("gauge,lat\n01022500,1\n01022500,2\n", "appear more than once"),
            ("gauge,lat\n", "has no rows"),
            ("", "is empty"),
            ("gauge,reach_id\n01022500,x7\n", "reach_id"),
            ("gauge,reach_id,utc_offset\n01022500,7,soon\n", "offset 'soon'"),
        ],
    )
    def test_a_bad_table(self, table: str, match: str, make: Callable[[str], Path], stations: Path) -> None:
        stations.write_text(table)
        with pytest.raises(InputError, match=match):
            read(make("camels_us"), stations)

    def test_own_tables_take_reaches_from_it(self, tmp_path: Path, stations: Path) -> None:
        (tmp_path / "own.csv").write_text("time,gauge,discharge\n2001-01-01,A,1\n2001-01-02,A,2\n")
        with pytest.raises(InputError, match="reach_id"):
            read(tmp_path / "own.csv", None)
        assert read(tmp_path / "own.csv", stations).discharge[:, 0].tolist() == [1.0, 2.0]

    def test_depths_need_an_area(self, make: Callable[[str], Path], stations: Path) -> None:
        stations.write_text("gauge,reach_id\nx,7\n")
        with pytest.raises(InputError, match=r"gauge x is in mm/day, and its drainage area is not known"):
            read(make("caravan"), stations)


class TestQuality:
    @pytest.mark.parametrize(
        ("quality", "left"),
        [
            (Quality(drop=("e",)), [100.0]),
            (Quality(drop=("A:e",)), [100.0]),
            (Quality(keep=("A",)), [100.0, 300.0]),
            (Quality(keep=("A",), drop=("e",)), [100.0]),
            (Quality(keep=("e",)), [300.0]),
        ],
    )
    def test_flags(
        self, quality: Quality, left: list[float], make: Callable[[str], Path], stations: Path
    ) -> None:
        found = read(make("camels_us"), stations, quality=quality)
        values = found.discharge[np.isfinite(found.discharge)] / CFS
        np.testing.assert_allclose(values, left)

    def test_flags_that_are_numbers(self, make: Callable[[str], Path], stations: Path) -> None:
        found = read(make("lamah"), stations, quality=Quality.of(drop=[1]))
        assert np.isfinite(found.discharge).sum() == 1

    def test_flags_of_none(self, make: Callable[[str], Path], stations: Path) -> None:
        with pytest.raises(InputError, match=r"quality.keep \(B\); found the flags A, A:e, M"):
            read(make("camels_us"), stations, quality=Quality(keep=("B",)))
        with pytest.raises(InputError, match="have no quality flags"):
            read(make("caravan"), stations, quality=Quality(keep=("B",)))


class TestClocks:
    """Days of the gauge's own clock against UTC."""

    DAYS = Steps(np.datetime64("2001-01-01", "ns"), 86400.0)

    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "x.csv"
        rows = "".join(f"2001-01-{day:02},{value}\n" for day, value in enumerate((10, 20, 40, 80), 1))
        path.write_text("Datetime,Streamflow (m3/s)\n" + rows)
        return path

    def test_a_utc_day_is_the_mean_of_two_local_days(self, tmp_path: Path, stations: Path) -> None:
        found = read(self.file(tmp_path), stations, utc_offset="-5h", like=self.DAYS)
        day = {str(one)[8:10]: value for one, value in zip(found.time, found.discharge[:, 0], strict=True)}
        # 19:00 UTC-5 begins a UTC day: 5 hours of the local day before, 19 of its own
        assert day["02"] == pytest.approx((5 * 10 + 19 * 20) / 24)
        assert day["04"] == pytest.approx((5 * 40 + 19 * 80) / 24)
        assert np.isnan(day.get("01", np.nan))

    def test_a_clock_ahead_of_utc(self, tmp_path: Path, stations: Path) -> None:
        found = read(self.file(tmp_path), stations, utc_offset="Asia/Tokyo", like=self.DAYS)
        day = {str(one)[8:10]: value for one, value in zip(found.time, found.discharge[:, 0], strict=True)}
        assert day["01"] == pytest.approx((15 * 10 + 9 * 20) / 24)

    def test_the_steps_of_the_runoff_may_begin_at_that_hour(self, tmp_path: Path, stations: Path) -> None:
        like = Steps(np.datetime64("2001-01-01T05:00", "ns"), 86400.0)
        found = read(self.file(tmp_path), stations, utc_offset="-5h", like=like)
        assert str(found.time[0])[:16] == "2001-01-01T05:00"
        assert found.discharge[:, 0].tolist() == [10.0, 20.0, 40.0, 80.0]

    def test_hours_move_whole(self, tmp_path: Path, stations: Path) -> None:
        path = tmp_path / "x.csv"
        path.write_text(
            "Datetime,Streamflow (m3/s)\n2001-01-01T00:00,1\n2001-01-01T01:00,2\n2001-01-01T02:00,3\n"
        )
        found = read(path, stations, utc_offset="-05:00")
        assert str(found.time[0])[:16] == "2001-01-01T05:00"
        assert found.discharge[:, 0].tolist() == [1.0, 2.0, 3.0]

    def test_days_against_hourly_runoff_move_whole(self, tmp_path: Path, stations: Path) -> None:
        hours = Steps(np.datetime64("2001-01-01", "ns"), 3600.0)
        found = read(self.file(tmp_path), stations, utc_offset="-5h", like=hours)
        assert (str(found.time[0])[:16], found.step) == ("2001-01-01T05:00", 86400.0)
        assert found.discharge[:, 0].tolist() == [10.0, 20.0, 40.0, 80.0]
        # two clocks have one axis of days: there the mean of two local days is taken
        (tmp_path / "y.csv").write_text((tmp_path / "x.csv").read_text())
        stations.write_text("gauge,reach_id,utc_offset\nx,7,-5\ny,7,-6\n")
        both = read([tmp_path / "x.csv", tmp_path / "y.csv"], stations, like=hours)
        second = both.discharge[both.time == np.datetime64("2001-01-02")][0]
        np.testing.assert_allclose(second, [(5 * 10 + 19 * 20) / 24, (6 * 10 + 18 * 20) / 24])

    def test_the_table_goes_before_by_gauge(self, tmp_path: Path, stations: Path) -> None:
        self.file(tmp_path)
        (tmp_path / "y.csv").write_text((tmp_path / "x.csv").read_text())
        stations.write_text("gauge,reach_id,utc_offset\nx,7,-24h\ny,7,\n".replace("-24h", "-12"))
        found = read([tmp_path / "x.csv", tmp_path / "y.csv"], stations, utc_offset="0h", like=self.DAYS)
        second = found.discharge[found.time == np.datetime64("2001-01-02")]
        assert second.tolist() == [[15.0, 20.0]]

    def test_missing_stays_missing_on_both_sides(self, tmp_path: Path, stations: Path) -> None:
        path = self.file(tmp_path)
        path.write_text(path.read_text().replace("2001-01-02,20\n", ""))
        found = read(path, stations, utc_offset="-5h", like=self.DAYS)
        assert np.isfinite(found.discharge[:, 0]).sum() == 1

    def test_the_files_own_word_is_said_and_taken_if_asked_for(
        self, make: Callable[[str], Path], stations: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = make("waterml_json")
        with caplog.at_level(logging.WARNING, "rivergrad"):
            plain = read(path, stations)
        assert "are not UTC by the file" in caplog.text
        assert str(plain.time[0])[:10] == "2001-01-01"
        path.write_text(JSON.replace('"-999999"', '"200"'))
        moved = read(path, stations, utc_offset="file", like=self.DAYS)
        values = moved.discharge[np.isfinite(moved.discharge)] / CFS
        np.testing.assert_allclose(values, [(5 * 100 + 19 * 200) / 24, (5 * 200 + 19 * 300) / 24])
        with pytest.raises(InputError, match="does not say the time zone"):
            read(make("camels_us"), stations, utc_offset="file")

    def test_stamps_with_a_time_zone_are_utc_already(
        self, make: Callable[[str], Path], stations: Path
    ) -> None:
        path = make("usgs_rdb")
        path.write_text(
            "agency_cd\tsite_no\tdatetime\ttz_cd\t1_00060\t1_00060_cd\n5s\t15s\t20d\t6s\t14n\t10s\n"
            "USGS\t01022500\t2001-01-01 00:00\tEST\t1\tA\nUSGS\t01022500\t2001-01-01 01:00\tEST\t2\tA\n"
        )
        found = read(path, stations, utc_offset="-5h")
        assert str(found.time[0])[:16] == "2001-01-01T05:00"

    @pytest.mark.parametrize("offset", ["15h", "later", True, "Mars/Olympus"])
    def test_what_is_no_offset(self, offset: object, make: Callable[[str], Path]) -> None:
        with pytest.raises(InputError, match="expected hours from UTC within 14"):
            read(make("camels_us"), None, utc_offset=offset)


def test_a_missing_extra_names_what_installs_it(
    make: Callable[[str], Path], stations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stations.write_text("ID;HZBNR;area_gov;lon;lat\n7;1;4647.9;4268300;2680100\n")
    monkeypatch.setitem(__import__("sys").modules, "pyproj", None)
    with pytest.raises(InputError, match=r"pip install 'rivergrad\[geo\]'"):
        read(make("lamah"), stations)


def test_the_column_of_the_mean_is_taken_not_that_of_the_maximum(
    make: Callable[[str], Path], stations: Path
) -> None:
    path = make("usgs_rdb")
    path.write_text(path.read_text().replace("8_00060_00003", "8_00060_00002"))
    with pytest.raises(InputError, match="no mean discharge"):
        read(path, stations)


def test_files_in_the_form_of_rivergrad_stay_so(tmp_path: Path) -> None:
    """A table with rivergrad's columns, whatever else it has, is read as before."""
    path = tmp_path / "own.csv"
    path.write_text("time,gauge,reach_id,discharge,Q_7\n2001-01-01,A,7,1,5\n2001-01-02,A,7,2,5\n")
    assert read(path, None).discharge[:, 0].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("name", [one for one in (*TEXTS, *DATASETS) if one != "estreams"])
def test_what_is_no_value_is_told_by_the_reader(name: str, make: Callable[[str], Path]) -> None:
    """Not by the rule for negative discharge, which a tidal gauge turns off."""
    (one,) = records_of(make(name))[0]
    assert np.isnan(one.values).tolist() == [False, True, False]


def test_what_files_say_of_themselves(make: Callable[[str], Path], tmp_path: Path) -> None:
    (usgs,) = records_of(make("usgs_rdb"))[0]
    assert usgs.flags is not None
    assert usgs.flags.tolist() == ["A", "P:e", "A:e"]
    (raven,) = records_of(make("raven_rvt"))[0]
    assert raven.reach_id == 7
    (grdc,) = records_of(make("grdc_netcdf"))[0]
    assert grdc.area == 86.4e6
    assert grdc.utc_offset == 2 * 3600
    path = make("grdc")
    path.write_bytes(path.read_bytes().rstrip().rsplit(b"\n", 1)[0] + b"\n")
    with pytest.raises(InputError, match="says 'Data lines: 3' and has 2"):
        records_of(path)
    path = tmp_path / "ID_7.csv"
    path.write_text("YYYY;MM;DD;hh;mm;qobs\n2001;1;1;5;30;1\n2001;1;1;6;30;2\n")
    (hourly,) = records_of(path)[0]
    assert str(hourly.time[1])[:16] == "2001-01-01T06:30"
    path = make("waterml_json")
    path.write_text(path.read_text().replace("-999999", "77"))
    (plain,) = records_of(path)[0]
    assert np.isnan(plain.values).tolist() == [False, True, False]
    path = make("waterml2")
    text = path.read_text()
    part = text[text.index("<om:OM_Observation>") : text.index("</wml2:Collection>")]
    other = part.replace("Discharge", "Gage height").replace("00060", "00065")
    path.write_text(text.replace(part, part + other))
    assert len(records_of(path)[0]) == 1
