"""What a parameter model is: celerity and spreading of every reach from shared coefficients and own deviations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from rivergrad.errors import InputError
from rivergrad.model.bounds import Bounded
from rivergrad.model.layout import LEVEL, SPREADING, SPREADING_REGIONS, Coefficients, Layout, Shape
from rivergrad.model.priors import CELERITY
from rivergrad.routing.schemes.base import Scheme

Float = NDArray[np.float64]


@dataclass(frozen=True)
class ParameterModel(ABC):
    """celerity_i = bounded(common_i + u_i), spreading_i = bounded(common'_i + v_i).

    A kind of models is a subclass. It says which coefficients all reaches share (`segments`) and what they give each
    reach (`common`). The rest has defaults. Reaches that no gauge informs follow what the others have in common; the
    deviations u and v belong to one reach.

    Class attributes of a kind:
        deviates: whether reaches have deviations u and v; without, they are 0.
        facts: what a workflow has to know. `trend` and `regions`: whether `parameters.trend` and `parameters.regions`
            are `none` of its business, or `may` (the default) or `must` be given. `travels`: whether it says something
            of reaches it was not fitted on (`rivergrad apply`), false by default.

    Attributes:
        scheme: the routing scheme.
        celerity: bounds of celerity, m/s; spreading: of the scheme's spreading, None for a scheme without.
        n_features: features a reach; hidden: `parameters.hidden`; n_regions: classes of reaches, 0 without.
    """

    scheme: Scheme
    celerity: Bounded
    spreading: Bounded | None
    n_features: int = 0
    hidden: int = 0
    n_regions: int = 0

    deviates: ClassVar[bool] = False
    facts: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def segments(self) -> dict[str, Shape]:
        """Names and shapes of the shared coefficients, in order; the shape () is a single number."""

    @abstractmethod
    def common(self, shared: Coefficients[Tensor], features: Tensor, region: Tensor | None = None) -> Tensor:
        """Arguments of the bounded curves before deviations are added, differentiable in the coefficients.

        What it gives a reach depends on that reach alone: it is called with the reaches of one piece at a time.

        Args:
            shared: with the segments of `layout`; it may have others.
            features: (reach, n_features), standardised.
            region: (reach,) class, with `n_regions`.

        Returns:
            (n_free, reach), of celerity, then of spreading where there is one.
        """

    @property
    def log_celerity_sd(self) -> float:
        """What is known of rivers: the standard deviation of ln(celerity) of single reaches about the shared model."""
        return CELERITY.sd

    @cached_property
    def layout(self) -> Layout:
        """The shared coefficients."""
        return Layout.of(self.segments())

    @property
    def n_free(self) -> int:
        """Free numbers a reach."""
        return 1 if self.spreading is None else 2

    def start_values(self, celerity: float, spreading: float | None, seed: int) -> dict[str, ArrayLike]:
        """Segments that do not start at 0, by name; arguments as for `start`."""
        found: dict[str, ArrayLike] = {LEVEL: self.celerity.free(celerity)}
        if self.spreading is not None:
            assert spreading is not None
            found[SPREADING] = self.spreading.free(spreading)
        return found

    def start(self, celerity: float, spreading: float | None, seed: int = 0) -> Coefficients[Float]:
        """Shared coefficients at which every reach has these values while its deviations are 0.

        Args:
            celerity: m/s.
            spreading: of the scheme; None for a scheme without.
            seed: of what starts at random.
        """
        return self.layout.coefficients(self.layout.fill(self.start_values(celerity, spreading, seed)))

    def prior_sd(self) -> dict[str, float]:
        """Standard deviation of the Gaussian prior of each segment of `layout`, about where it starts.

        Coefficients are in units of the bounded curve's argument, in which the whole admissible range is about ±4. 2
        says little about the level. 1 lets a standard deviation of an attribute, or a class, change celerity by a
        factor of about e.
        """
        known = {LEVEL: 2.0, SPREADING: 0.5, SPREADING_REGIONS: 0.5}
        return {name: known.get(name, 1.0) for name in self.layout.names}

    def middle(self, shared: Coefficients[Float]) -> float:
        """The celerity (m/s) that reaches are about: that of the level, for the scale of deviations."""
        return self.celerity.value_of(float(shared[LEVEL]))

    def regressors(
        self, shared: Coefficients[Float], features: Float, region: NDArray[np.int64] | None = None
    ) -> Float:
        """d common / d shared at some coefficients, dense: by automatic differentiation, unless a kind knows it.

        Args:
            shared, features, region: as for `common`.

        Returns:
            (n_free, reach, coefficient of `layout`).
        """
        by = torch.from_numpy(features)
        at = None if region is None else torch.from_numpy(region)
        own = torch.from_numpy(shared.part(self.layout).values).requires_grad_()
        found = self.common(self.layout.coefficients(own), by, at)
        # by columns, as there are few coefficients and many reaches: J e_k is the gradient by s of (J' s)_k
        seed = torch.zeros_like(found, requires_grad=True)
        (pulled,) = torch.autograd.grad(found, own, seed, create_graph=True)
        columns = [torch.autograd.grad(one, seed, retain_graph=True)[0] for one in pulled]
        dense: Float = torch.stack(columns, dim=-1).numpy()
        return dense

    def physical(
        self, shared: Coefficients[Tensor], free: Tensor, features: Tensor, region: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Celerity (m/s) and spreading of each reach, (reach,) each.

        Args:
            shared, features, region: as for `common`.
            free: (n_free, reach) deviations.
        """
        latent = self.common(shared, features, region) + free
        celerity = self.celerity.value(latent[0])
        return celerity, None if self.spreading is None else self.spreading.value(latent[1])

    def parameters(
        self,
        shared: Coefficients[Tensor],
        free: Tensor,
        features: Tensor,
        length: Tensor,
        region: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The scheme's parameters of each reach; `length` (reach,) in m, other arguments as for `physical`."""
        celerity, spreading = self.physical(shared, free, features, region)
        return self.scheme.from_celerity(celerity, spreading, length)


def checked(found: Any, name: str) -> Any:
    """A kind of parameter models: what the registry asks at first use.

    Raises:
        InputError: anything but a subclass of `ParameterModel` that has `segments` and `common`.
    """
    expected = "expected a subclass of rivergrad.model.parametermodel.ParameterModel"
    if not (isinstance(found, type) and issubclass(found, ParameterModel)):
        what = f"class {found.__name__}" if isinstance(found, type) else type(found).__name__
        raise InputError(f"{expected}, found {what}", key="parameter model", found=name)
    if lacking := sorted(found.__abstractmethods__):
        raise InputError(
            f"{expected} with segments and common, found one without {' and '.join(lacking)}",
            key="parameter model",
            found=name,
        )
    return found
