"""WaterML of the USGS's water services: 1.1 as JSON, and 2.0 as XML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from rivergrad.clocks import offset_of
from rivergrad.errors import InputError, ids_text
from rivergrad.files import open_file
from rivergrad.io.observed.record import Flags, GaugeFormat, Record, beginning_of, lines_of, no_rows, numbers
from rivergrad.io.observed.usgs_rdb import DISCHARGE, MEAN, WORDS
from rivergrad.io.times import TimeArray, parse_dates

_ZONE = re.compile(r"\d{2}:\d{2}.*(Z|[+-]\d{2}:?\d{2})$")
_GML, _WML = "{http://www.opengis.net/gml/3.2}", "{http://www.opengis.net/waterml/2.0}"
_OM, _XLINK = "{http://www.opengis.net/om/2.0}", "{http://www.w3.org/1999/xlink}"
_SWE = "{http://www.opengis.net/swe/2.0}"
_UNITS = {"[ft_i]3/s": "ft3/s", "ft3/s": "ft3/s", "m3/s": "m3/s", "[cft_i]/s": "ft3/s"}


@dataclass(frozen=True)
class WaterMlJson(GaugeFormat):
    """WaterML 1.1 as JSON: several sites, several variables, of which discharge (00060) is read."""

    name: str = "waterml_json"
    traps: tuple[str, ...] = (
        "Values are in the unit that the file states, ft3/s.",
        "Days are those of the gauge's own clock (utc_offset: file takes the one in the file).",
        "Other variables and statistics than mean discharge are left out.",
    )

    def guess(self, path: Path) -> str | None:
        """See `GaugeFormat`."""
        head = beginning_of(path)
        said = head.lstrip().startswith("{") and ("timeSeriesResponseType" in head or '"timeSeries"' in head)
        return "JSON of the type timeSeriesResponseType" if said else None

    def records(self, path: Path) -> list[Record]:
        """See `GaugeFormat`."""
        with open_file(path) as file:
            try:
                document = json.loads(file.read())
                series = document["value"]["timeSeries"]
                found = [one for part in series for one in _series(part, path)]
            except InputError:
                raise
            except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
                raise InputError(
                    f"{path}: cannot be read as WaterML in JSON, is it damaged? "
                    f"({type(error).__name__}: {str(error)[:80]})"
                ) from error
        if not found:
            raise no_rows(path, "values of discharge (00060)")
        return found


def _series(part: Any, path: Path) -> Iterator[Record]:
    variable, source = part["variable"], part["sourceInfo"]
    if variable["variableCode"][0]["value"] != DISCHARGE:
        return
    statistic = [one.get("optionCode") for one in (variable.get("options") or {}).get("option", [])]
    if statistic and MEAN not in statistic and any(statistic) and statistic != ["00000"]:
        return
    position = source.get("geoLocation", {}).get("geogLocation", {})
    zone = source.get("timeZoneInfo", {}).get("defaultTimeZone", {}).get("zoneOffset")
    none = variable.get("noDataValue")
    for method in part["values"]:
        rows = method["value"]
        if not rows:
            continue
        time, utc = _times([row["dateTime"] for row in rows], path)
        values = numbers([str(row["value"]) for row in rows], path, "'value'", WORDS)
        yield Record(
            source["siteCode"][0]["value"],
            time,
            values if none is None else np.where(values == float(none), np.nan, values),
            variable["unit"]["unitCode"],
            path,
            np.array([" ".join(row.get("qualifiers", [])) for row in rows], np.str_),
            float(position.get("latitude", np.nan)),
            float(position.get("longitude", np.nan)),
            utc=utc,
            utc_offset=None if zone is None else offset_of(zone, str(path)),
        )


def _times(texts: list[str], path: Path) -> tuple[TimeArray, bool]:
    """Stamps, and whether they came with their time zone."""
    zoned = [_ZONE.search(text.strip()) is not None for text in texts]
    if any(zoned) and not all(zoned):
        raise InputError(f"{path}: some times have a time zone and some have none; expected one or the other")
    return parse_dates(texts, str(path), "dateTime"), all(zoned)


@dataclass(frozen=True)
class WaterMl2(GaugeFormat):
    """WaterML 2.0: an observation a site."""

    name: str = "waterml2"
    traps: tuple[str, ...] = (
        *WaterMlJson.traps,
        "The first point may hold metadata alone, without time and value.",
    )

    def guess(self, path: Path) -> str | None:
        """See `GaugeFormat`."""
        head = beginning_of(path)
        return (
            "XML in the namespace waterml/2.0" if head.lstrip()[:1] == "<" and "waterml/2.0" in head else None
        )

    def records(self, path: Path) -> list[Record]:
        """See `GaugeFormat`."""
        text = "\n".join(lines_of(path))
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise InputError(f"{path}: defines entities; expected plain WaterML 2.0")
        try:
            root = ElementTree.fromstring(re.sub(r"^<\?xml[^>]*\?>", "", text.lstrip()))
        except ElementTree.ParseError as error:
            raise InputError(f"{path}: cannot be read as XML ({error}); is it cut off?") from error
        found = [
            one for part in root.iter(f"{_OM}OM_Observation") if (one := _observation(part, path)) is not None
        ]
        if not found:
            raise no_rows(path, "observations of discharge (00060) with points")
        return found


def _observation(part: ElementTree.Element, path: Path) -> Record | None:
    observed = part.find(f"{_OM}observedProperty")
    said = "" if observed is None else f"{observed.get(f'{_XLINK}title')} {observed.get(f'{_XLINK}href')}"
    if DISCHARGE not in said and "discharge" not in said.lower():
        return None
    # the USGS puts a point without time and value first, which holds metadata alone
    points = [one for one in part.iter(f"{_WML}MeasurementTVP") if one.find(f"{_WML}time") is not None]
    if not points:
        return None
    unit_part = next(part.iter(f"{_WML}uom"), None)
    code = None if unit_part is None else unit_part.get("code") or unit_part.get(f"{_XLINK}title")
    if code is None:
        raise InputError(f"{path}: states no unit (wml2:uom) of its values; expected one such as ft3/s")
    time, utc = _times([_text(point, "time") for point in points], path)
    position = next(part.iter(f"{_GML}pos"), None)
    lat, lon = _position(position, path)
    flags = [_qualifiers(point) for point in points]
    return Record(
        _site(part, path),
        time,
        numbers([_text(point, "value") for point in points], path, "wml2:value", WORDS),
        _UNITS.get(code.strip(), code.strip()),
        path,
        np.array(flags, np.str_) if any(flags) else _default_flags(part, len(points)),
        lat,
        lon,
        utc=utc,
        utc_offset=_zone_of(part, path),
    )


def _text(point: ElementTree.Element, name: str) -> str:
    found = point.find(f"{_WML}{name}")
    return "" if found is None or found.text is None else found.text


def _site(part: ElementTree.Element, path: Path) -> str:
    for point in part.iter(f"{_WML}MonitoringPoint"):
        found = re.search(r"USGS\.(\d{8,15})", point.get(f"{_GML}id") or "")
        if found is not None:
            return found.group(1)
        identifier = point.find(f"{_GML}identifier")
        if identifier is not None and identifier.text:
            return identifier.text.strip()
    raise InputError(f"{path}: names no monitoring point; expected its gml:id or gml:identifier")


def _position(found: ElementTree.Element | None, path: Path) -> tuple[float, float]:
    if found is None or found.text is None:
        return np.nan, np.nan
    values = numbers(found.text.split(), path, "gml:pos")
    if len(values) < 2:
        raise InputError(f"{path}: gml:pos holds {ids_text(values)}; expected latitude and longitude")
    return float(values[0]), float(values[1])


def _zone_of(part: ElementTree.Element, path: Path) -> float | None:
    for zone in part.iter(f"{_WML}zoneOffset"):
        if zone.text:
            return offset_of(zone.text.strip(), str(path))
    return None


def _default_flags(part: ElementTree.Element, count: int) -> Flags | None:
    default = next(part.iter(f"{_WML}defaultPointMetadata"), None)
    if default is None:
        return None
    words = _qualifiers(default)
    return np.full(count, words) if words else None


def _qualifiers(part: ElementTree.Element) -> str:
    """The codes of the qualifiers of a point, such as P; their titles where they have no code."""
    found = []
    for one in part.iter(f"{_WML}qualifier"):
        code = next(one.iter(f"{_SWE}value"), None)
        found.append((code.text if code is not None else one.get(f"{_XLINK}title")) or "")
    return " ".join(word for word in found if word)
