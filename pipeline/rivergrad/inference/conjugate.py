"""Conjugate gradients for a Gauss-Newton step, stopped as soon as the step is good enough.

Each residual is made orthogonal to all earlier ones. Otherwise rounding brings back directions that are already solved.
This costs products, and makes an unfinished solution depend on the last digits of the products, so on the partition.

Source: Nocedal & Wright (2006), Numerical Optimization, algorithm 7.1; Steihaug (1983), doi:10.1137/0720042; Golub &
Van Loan (2013), Matrix Computations, section 10.3 (reorthogonalisation).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def solve(
    product: Callable[[Float], Float],
    right: Float,
    tolerance: float,
    most: int,
    start: Float | None = None,
) -> tuple[Float, int, float]:
    """Solve A x = right; A is symmetric positive definite.

    If A is not positive along a direction (because of rounding or inexact products), the iteration stops there and
    returns the present x.

    Args:
        product: A times a vector (n,).
        right: (n,) right-hand side.
        tolerance: the relative residual |A x − right| / |right| at which the iteration stops.
        most: the largest number of products.
        start: (n,) where to start, such as the solution for an A that is nearly the same; zero by default. It costs a
            product.

    Returns:
        x (n,), the number of products, and the relative residual.
    """
    x = np.zeros_like(right)
    size = float(np.linalg.norm(right))
    if size == 0.0:
        return x, 0, 0.0
    rest, spent = right.copy(), 0
    if start is not None and most > 1:
        x, rest, spent = start.copy(), right - product(start), 1
    direction = rest.copy()
    square = float(rest @ rest)
    if square**0.5 <= tolerance * size:
        return x, spent, square**0.5 / size
    earlier = [rest / square**0.5]
    for k in range(spent + 1, most + 1):
        image = product(direction)
        curvature = float(direction @ image)
        if not curvature > 0.0:
            return (direction if k == 1 else x), k, square**0.5 / size
        x += (square / curvature) * direction
        rest -= (square / curvature) * image
        for one in earlier:
            rest -= (one @ rest) * one
        before, square = square, float(rest @ rest)
        if square**0.5 <= tolerance * size:
            return x, k, square**0.5 / size
        earlier.append(rest / square**0.5)
        direction = rest + (square / before) * direction
    return x, most, square**0.5 / size
