"""Files of archives of discharge, made here: three days of one gauge in every format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import xarray as xr

CFS = 0.3048**3

RDB = (
    "# comment\nagency_cd\tsite_no\tdatetime\t7_00060_00001\t8_00060_00003\t8_00060_00003_cd\n"
    "5s\t15s\t20d\t14n\t14n\t10s\n"
    "USGS\t01022500\t2001-01-01\t900\t100\tA\nUSGS\t01022500\t2001-01-02\t900\tIce\tP:e\n"
    "USGS\t01022500\t2001-01-03\t900\t300\tA:e\n"
)
CAMELS = "".join(
    f"01022500 2001 01 0{day} {flow:8.2f} {flag}\n"
    for day, flow, flag in [(1, 100, "A"), (2, -999, "M"), (3, 300, "A:e")]
)
GRDC = (
    "# GRDC-No.:              6435060\n# Latitude (DD):  10.0\n# Longitude (DD):  20.0\n"
    "# Catchment area (km²):  86.4\n# Unit of measure:  m³/s\n# Data lines: 3\n# DATA\n"
    "YYYY-MM-DD;hh:mm; Original; Calculated; Flag\n"
    "2001-01-01;--:--; 100; -999; 1\n2001-01-02;--:--; -999.000; 7; 1\n2001-01-03;--:--; 300; 7; 1\n"
)
LAMAH = "YYYY;MM;DD;qobs;ckhs\n2001;1;1;100;0\n2001;1;2;-999;0\n2001;1;3;300;1\n"
ESTREAMS = "dates,AT01,AT02\n2001-01-01,100,1\n2001-01-02,,2\n2001-01-03,300,3\n"
GEOGLOWS = "Datetime,Streamflow (ft3/s)\n2001-01-01,100\n2001-01-02,\n2001-01-03,300\n"
CARAVAN = "date,total_precipitation_sum,streamflow\n2001-01-01,0,1.0\n2001-01-02,0,NaN\n2001-01-03,0,3.0\n"
RVT = ":ObservationData HYDROGRAPH 7 m3/s\n 2001-01-01 0:00:00 1 3\n100\n-1.2345\n300\n:EndObservationData\n"
WFLOW = (
    "time,Q-max,Q_7,P_7\n2001-01-01T00:00:00,9,100,1\n2001-01-02T00:00:00,9,,1\n2001-01-03T00:00:00,9,300,1\n"
)
XML = (
    '<wml2:Collection xmlns:wml2="http://www.opengis.net/waterml/2.0" xmlns:gml="http://www.opengis.net/gml/3.2" '
    'xmlns:om="http://www.opengis.net/om/2.0" xmlns:xlink="http://www.w3.org/1999/xlink"><om:OM_Observation>'
    '<om:observedProperty xlink:title="Discharge" xlink:href="x?parmCd=00060"/>'
    '<wml2:MonitoringPoint gml:id="USGS.MP.USGS.01022500.1"/><wml2:uom xlink:title="ft3/s"/>'
    "<wml2:MeasurementTVP/>"
    + "".join(
        f"<wml2:MeasurementTVP><wml2:time>2001-01-0{day}</wml2:time><wml2:value>{value}</wml2:value>"
        "</wml2:MeasurementTVP>"
        for day, value in [(1, 100), (2, ""), (3, 300)]
    )
    + "</om:OM_Observation></wml2:Collection>"
)
JSON = json.dumps(
    {
        "name": "ns1:timeSeriesResponseType",
        "value": {
            "timeSeries": [
                {
                    "sourceInfo": {
                        "siteCode": [{"value": "01022500"}],
                        "timeZoneInfo": {"defaultTimeZone": {"zoneOffset": "-05:00"}},
                        "geoLocation": {"geogLocation": {"latitude": 10.0, "longitude": 20.0}},
                    },
                    "variable": {
                        "variableCode": [{"value": code}],
                        "unit": {"unitCode": "ft3/s"},
                        "noDataValue": -999999.0,
                        "options": {"option": [{"optionCode": statistic}]},
                    },
                    "values": [
                        {
                            "value": [
                                {
                                    "value": value,
                                    "qualifiers": ["A"],
                                    "dateTime": f"2001-01-0{day}T00:00:00.000",
                                }
                                for day, value in [(1, "100"), (2, "-999999"), (3, "300")]
                            ]
                        }
                    ],
                }
                for code, statistic in [("00060", "00003"), ("00060", "00001"), ("00010", "00003")]
            ]
        },
    }
)
TEXTS = {
    "usgs_rdb": ("x.txt", RDB, CFS),
    "camels_us": ("x.txt", CAMELS, CFS),
    "grdc": ("x.txt", GRDC, 1.0),
    "lamah": ("ID_7.csv", LAMAH, 1.0),
    "estreams": ("x.csv", ESTREAMS, 1.0),
    "geoglows_gauge": ("x.csv", GEOGLOWS, CFS),
    "caravan": ("x.csv", CARAVAN, 1.0),
    "raven_rvt": ("x.rvt", RVT, 1.0),
    "wflow_csv": ("output.csv", WFLOW, 1.0),
    "waterml2": ("x.xml", XML, CFS),
    "waterml_json": ("x.json", JSON, CFS),
}
"""By format, a name, three days (100, none, 300 in its unit; Caravan 1, none, 3) and what makes m3/s of them."""


def dataset_of(name: str) -> tuple[str, xr.Dataset]:
    time = ("time", np.arange(3), {"units": "days since 2001-01-01"})
    values = np.array([[100.0], [np.nan], [300.0]])
    if name == "grdc_netcdf":
        each = {"geo_x": 20.0, "geo_y": 10.0, "area": 86.4, "timezone": 2.0}
        return "GRDC.nc", xr.Dataset(
            {
                "runoff_mean": (("time", "id"), np.nan_to_num(values, nan=-999.0), {"units": "m3/s"}),
                **{one: ("id", [value]) for one, value in each.items()},
            },
            {"time": time, "id": ("id", [6435060])},
        )
    if name == "station_netcdf":
        return "raven.nc", xr.Dataset(
            {
                "Q": (("nstations", "time"), np.nan_to_num(values.T, nan=-9999.0), {"units": "m**3 s**-1"}),
                "station_id": ("nstations", ["A"]),
                "station_info": ("nstations", ["A"]),
            },
            {"time": time},
        )
    if name == "rapid_qout":
        return "Qout_24hr_20010101.nc", xr.Dataset(
            {
                "Qout": (("time", "rivid"), values, {"units": "m3 s-1"}),
                "Qout_var": ("rivid", [1e20]),
                "crs": ((), 0),
            },
            {"time": ("time", [-2147483647] * 3), "rivid": ("rivid", [7])},
        )
    return "many.nc", xr.Dataset(
        {"streamflow": (("basin_id", "time"), values.T / 100), "area": ("basin_id", [8640.0])},
        {"time": time, "basin_id": ("basin_id", ["x"])},
    )


GAUGES = ("01022500", "6435060", "7", "AT01", "AT02", "x", "A", "raven")
"""Names of the gauges in these files."""
DATASETS = ("grdc_netcdf", "station_netcdf", "rapid_qout", "caravan_many")


def write(name: str, folder: Path) -> Path:
    """The file of a format, or of one of `DATASETS`, in a folder."""
    if name in TEXTS:
        file, text, _ = TEXTS[name]
        path = folder / file
        path.write_bytes(text.encode("latin-1"))
    else:
        file, dataset = dataset_of(name)
        path = folder / file
        dataset.to_netcdf(path, engine="netcdf4")
    return path
