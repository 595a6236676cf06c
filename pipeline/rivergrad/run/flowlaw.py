"""What a workflow says of celerity by flow: the law, the mean flow of every reach, and the feature made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError
from rivergrad.model.bounds import Bounded
from rivergrad.model.flowlaw import FlowLaw
from rivergrad.model.layout import FLOW
from rivergrad.model.physical import BANKFULL, MEAN_FLOW, PHYSICAL
from rivergrad.pieces.meanflow import mean_flow
from rivergrad.routing.flow import Rounds
from rivergrad.routing.flow.names import EXPONENT, REFERENCE, ROUNDS
from rivergrad.run.inputs import Inputs
from rivergrad.run.periods import Periods

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FlowOfReaches:
    """The law of a workflow.

    Attributes:
        law: the exponent; rounds: how it is computed.
        reference: (reach,) Q₀, m³/s.
    """

    law: FlowLaw
    rounds: Rounds
    reference: Float


def rounds_of(config: Workflow, told: dict[str, Any] | None = None) -> Rounds | None:
    """How a celerity that depends on flow is computed; None where it does not depend on it.

    Args:
        told: what run.json says of the law (see `described_law`), where `rounds` is `auto`.
    """
    section = config.parameters.flow_exponent
    if section is None:
        return None
    number, damping = section.rounds, section.damping
    if number == "auto":
        number, damping = (told or {}).get("rounds", ROUNDS), (told or {}).get("damping", damping)
    return Rounds(number, section.interval, min(section.gradient_rounds, number + 1), damping)


def takes_mean_flow(config: Workflow) -> bool:
    """Whether a workflow needs the mean flow of reaches, for the law or as a feature."""
    section = config.parameters
    return section.flow_exponent is not None or MEAN_FLOW in section.trend or section.prior == PHYSICAL


def mean_flow_of(config: Workflow, inputs: Inputs, periods: Periods) -> Float | None:
    """(reach,) mean flow of the training period, where the workflow needs it.

    Raises:
        InputError: runoff is learned, so that there is no mean of it.
    """
    section = config.parameters
    own = MEAN_FLOW in section.trend and MEAN_FLOW not in inputs.network.attributes
    told = section.prior == PHYSICAL and BANKFULL not in inputs.network.attributes and inputs.runoff_is_given
    if section.flow_exponent is None and not own and not told:
        return None
    if not inputs.runoff_is_given:
        key = "parameters.trend" if own else "parameters.flow_exponent"
        raise InputError("found no runoff to take the mean flow of; expected runoff that is given", key=key)
    return mean_flow(inputs.network, inputs.runoff, *periods.fit)


def flow_of(
    config: Workflow, reference: Float | None, regions: NDArray[np.int64] | None
) -> FlowOfReaches | None:
    """The law of a workflow; None where celerity does not depend on flow.

    Args:
        reference: see `mean_flow_of`; regions: (reach,) class of each reach, where there are classes.
    """
    section, rounds = config.parameters.flow_exponent, rounds_of(config)
    if section is None or rounds is None:
        return None
    assert reference is not None
    classes = 0 if regions is None or section.estimate != "regional" else int(regions.max()) + 1
    law = FlowLaw(
        Bounded(*section.bounds, logarithmic=False),
        section.prior,
        section.sd,
        section.estimate != "none",
        classes,
    )
    return FlowOfReaches(law, rounds, reference)


def described_law(choice: FlowOfReaches | None, shared: Any) -> dict[str, Any] | None:
    """The law for run.json: enough to apply it to other reaches. `shared` are the coefficients of the estimate."""
    if choice is None:
        return None
    law = choice.law
    free = np.atleast_1d(shared[FLOW]) if law.estimated else np.array([law.start])
    return {
        "classes": law.classes,
        "exponent": [law.exponent.value_of(float(one)) for one in free],
        "rounds": choice.rounds.rounds,
        "damping": choice.rounds.damping,
    }


def law_elsewhere(described: dict[str, Any] | None, reference: Float | None) -> dict[str, Float]:
    """The law of a run for another network's reaches, (reach,) each; nothing where there is none, or no mean flow.

    Args:
        described: see `described_law`; reference: (reach,) Q₀ of the other network, m³/s.

    Raises:
        InputError: a law by classes of reaches, which another network does not have.
    """
    if described is None or reference is None:
        return {}
    if described["classes"]:
        raise InputError(
            "found an exponent of flow by classes of reaches, which another network does not have; expected one with "
            "parameters.flow_exponent.estimate shared"
        )
    return {EXPONENT: np.full(reference.size, described["exponent"][0]), REFERENCE: reference}


def with_mean_flow(network: RiverNetwork, flow: Float) -> RiverNetwork:
    """The network with its mean flow (reach,) m³/s as an attribute, unless it has one of its own."""
    if MEAN_FLOW in network.attributes:
        return network
    more = {**network.attributes, MEAN_FLOW: flow}
    return RiverNetwork(network.reach_id, network.downstream, network.length, more)
