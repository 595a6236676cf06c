"""mizuRoute's network: IRF has one celerity for all reaches, its other schemes roughness and width of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rivergrad.errors import InputError
from rivergrad.io.datasets import Variable, write_dataset
from rivergrad.io.exporters.base import Estimate, Float, left_alone, matched
from rivergrad.io.exporters.hydraulics import (
    LEAST_SLOPE,
    Roughness,
    celerity_of,
    flow_of,
    said,
    slope_of,
    wide_manning_n,
    width_of,
)
from rivergrad.io.exporters.muskingum import not_held
from rivergrad.io.exporters.netcdflike import add_history, copied, ids_in, put, values_in

N_ATTRIBUTES = {"long_name": "Manning's roughness, by rivergrad's celerity", "units": "s m-1/3"}
WIDTH_ATTRIBUTES = {"long_name": "width of the channel", "units": "m"}
CELERITY_ATTRIBUTES = {"long_name": "kinematic wave celerity, by rivergrad", "units": "m s-1"}


@dataclass(frozen=True)
class MizuRoute:
    """segId, downSegId (0 at outlets), length, slope, width, man_n; the median celerity for IRF in the attributes."""

    endings: tuple[str, ...] = (".nc",)
    folder: bool = False
    like: bool = True
    extra: str | None = None

    def write(self, estimate: Estimate, output: Path, like: Path | None) -> list[str]:
        """See `Exporter`."""
        if estimate.network.length is None:
            raise InputError(f"{output}: the run's network has no lengths; expected some for mizuRoute")
        whole = _of_all(estimate)
        if like is not None:
            return _like(estimate, output, like, whole)
        width, source = width_of(estimate)
        slope = np.maximum(slope_of(estimate), LEAST_SLOPE)
        celerity = celerity_of(estimate)
        rough = wide_manning_n(celerity, flow_of(estimate), width, slope)
        sentences = [_irf(whole), *not_held(estimate), *said(rough, estimate.flow_source, source)]
        attributes = {
            "Conventions": "CF-1.6",
            "comment": ". ".join(sentences),
            "irf_velo": whole[0],
            "irf_diff": whole[1],
            **estimate.provenance,
        }
        write_dataset(output, _variables(estimate, width, slope, rough), attributes)
        return sentences


def _of_all(estimate: Estimate) -> tuple[float, float]:
    """One celerity and diffusivity for all reaches: the whole length over the whole time, and the mean by length."""
    length = np.asarray(estimate.network.length, np.float64)
    celerity = celerity_of(estimate)
    diffusivity = estimate.attribute("diffusivity")
    velo = float(length.sum() / (length / celerity).sum())
    diff = 0.0 if diffusivity is None else float((length * diffusivity).sum() / length.sum())
    return velo, diff


def _irf(whole: tuple[float, float]) -> str:
    return (
        f"mizuRoute's IRF takes one celerity and diffusivity for all reaches: velo = {whole[0]:.3g}, "
        f"diff = {whole[1]:.4g} in param.nml; its kinematic, Muskingum-Cunge and "
        "diffusive waves read width and man_n of every reach (hydGeometryOption 0)"
    )


def _variables(estimate: Estimate, width: Float, slope: Float, rough: Roughness) -> dict[str, Variable]:
    dim, network = ("seg",), estimate.network
    below = estimate.downstream_id
    found = {
        "segId": Variable(dim, network.reach_id, {"long_name": "reach id"}),
        "downSegId": Variable(
            dim, np.where(below < 0, 0, below), {"long_name": "downstream reach id, 0 at an outlet"}
        ),
        "length": Variable(
            dim, np.asarray(network.length), {"long_name": "length of the reach", "units": "m"}
        ),
        "slope": Variable(dim, slope, {"long_name": "slope of the reach", "units": "1"}),
        "width": Variable(dim, width, WIDTH_ATTRIBUTES),
        "man_n": Variable(dim, rough.n, N_ATTRIBUTES),
        "celerity": Variable(dim, celerity_of(estimate), CELERITY_ATTRIBUTES),
    }
    if (area := estimate.attribute("area_m2")) is not None:
        hru = ("hru",)
        found |= {
            "hruId": Variable(
                hru, network.reach_id, {"long_name": "id of the catchment, which is its reach's"}
            ),
            "hruToSegId": Variable(
                hru, network.reach_id, {"long_name": "reach that the catchment drains into"}
            ),
            "area": Variable(hru, area, {"long_name": "area of the catchment", "units": "m2"}),
        }
    return found


def _like(estimate: Estimate, output: Path, like: Path, whole: tuple[float, float]) -> list[str]:
    _, ids, dim = ids_in(like, ("segId", "seg_id", "ID", "PFAF", "COMID", "reach_id"))
    at, known = matched(estimate, ids, like)
    slope = values_in(like, ("slope", "Slope"))
    width = values_in(like, ("width", "Width"))
    source = "width of the file"
    if width is None:
        given, source = width_of(estimate)
        width = given[at]
    slope = np.maximum(slope_of(estimate)[at] if slope is None else slope, LEAST_SLOPE)
    celerity = celerity_of(estimate)[at]
    rough = wide_manning_n(celerity, flow_of(estimate)[at], width, slope)
    sentences = [_irf(whole), *not_held(estimate), *said(rough, estimate.flow_source, source)]
    with copied(like, output) as file:
        put(file, "man_n", dim, rough.n, known, N_ATTRIBUTES)
        if "width" not in file.variables and "Width" not in file.variables:
            put(file, "width", dim, width, known, WIDTH_ATTRIBUTES)
        put(file, "celerity", dim, celerity, known, CELERITY_ATTRIBUTES)
        file.setncatts({"irf_velo": whole[0], "irf_diff": whole[1]})
        add_history(
            file, f"{estimate.provenance.get('history', 'rivergrad')}: man_n, width. {'. '.join(sentences)}"
        )
    return [*sentences, *left_alone(known, estimate, like)]
