"""What exponents of flow that differ from reach to reach add to the uncertainty of celerity.

All reaches share the estimated exponent m, which the data tell well. A reach has its own: the prior says how far that
may be from another. Discharge that comes of these differences is an error of the model. It does not look like noise,
for the fit takes it up in celerities, and residuals stay small. So it is computed: exponents are drawn about m, the
linearised routing says how discharge changes, and the posterior how the most probable celerities follow. The mean
square of that is variance on top of the posterior's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rivergrad.inference.nuisance import moved
from rivergrad.inference.posterior import Posterior
from rivergrad.pieces.leastsquares import LeastSquares
from rivergrad.run.problem import Problem

Float = NDArray[np.float64]

DRAWS = 16
"""Fields of exponents: the mean of so many squares is right to a third or so, its root to a sixth."""


def exponent_variance(work: Problem, problem: LeastSquares, weight: Float, found: Posterior) -> Float:
    """(n_free, reach) variance of latent values that the reaches' own exponents of flow add.

    Args:
        work: with the law of flow; problem: linearised at the estimate.
        weight: (window, time, gauge) of the squared residuals; found: the posterior.
    """
    assert work.flow is not None
    rng = np.random.default_rng([work.config.seed, 407])
    pulled = []
    for _ in range(DRAWS):
        error = problem.tangent_of_exponents(work.flow.law.sd * rng.standard_normal(work.n_reaches))
        pulled.append(problem.pull(weight * error)[1])
    square: Float = (moved(found, np.stack(pulled)) ** 2).mean(axis=0)
    return square
