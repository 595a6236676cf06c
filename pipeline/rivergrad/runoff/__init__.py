"""Runoff models: from weather and attributes of catchments to the water that enters each reach."""

from rivergrad.runoff.base import FORCING_UNITS, FORCINGS, RunoffFunction, RunoffModel
from rivergrad.runoff.correction import Correction
from rivergrad.runoff.flat import FlatModule
from rivergrad.runoff.hbv import Hbv
from rivergrad.runoff.load import MODELS, RunoffSpec, check_inputs, check_output, load_runoff_model
from rivergrad.runoff.lstm import Lstm
from rivergrad.runoff.units import depth_to_discharge

__all__ = [
    "FORCINGS",
    "FORCING_UNITS",
    "MODELS",
    "Correction",
    "FlatModule",
    "Hbv",
    "Lstm",
    "RunoffFunction",
    "RunoffModel",
    "RunoffSpec",
    "check_inputs",
    "check_output",
    "depth_to_discharge",
    "load_runoff_model",
]
