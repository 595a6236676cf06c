"""`rivergrad.route`: routing for whatever holds the runoff: a tensor, an array, a DataArray."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from rivergrad.config.quantities import step_seconds
from rivergrad.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from rivercut.network import RiverNetwork
    from rivergrad.routing.schemes import Scheme


@overload
def route(
    network: RiverNetwork,
    runoff: Tensor,
    parameters: Mapping[str, Any] | None = ...,
    scheme: str | Scheme = ...,
    *,
    forcing_step: float | str | None = ...,
    routing_step: float | str,
    celerity: Any = ...,
    spreading: Any = ...,
    return_state: Literal[False] = ...,
    **options: Any,
) -> Tensor: ...


@overload
def route(
    network: RiverNetwork,
    runoff: Any,
    parameters: Mapping[str, Any] | None = ...,
    scheme: str | Scheme = ...,
    *,
    forcing_step: float | str | None = ...,
    routing_step: float | str,
    celerity: Any = ...,
    spreading: Any = ...,
    **options: Any,
) -> Any: ...


def route(
    network: RiverNetwork,
    runoff: Any,
    parameters: Mapping[str, Any] | None = None,
    scheme: str | Scheme = "muskingum",
    *,
    forcing_step: float | str | None = None,
    routing_step: float | str,
    celerity: Any = None,
    spreading: Any = None,
    **options: Any,
) -> Any:
    """Route runoff through a network. What comes back is of the kind of the runoff.

    With a torch tensor it is one differentiable operation (see `Router` for many calls). A DataArray is matched by its
    coordinate `reach_id`; its step comes from its time axis.

    Args:
        network: the river network.
        runoff: (..., time, reach) mean lateral inflow of each forcing step, m³/s: a tensor, an array or a DataArray.
        parameters: the scheme's by name, each a number, (reach,), a DataArray, or (..., reach) for an ensemble; SI.
            With `residence_time` (s, NaN at channels), reaches that have one are lakes: linear storages.
        scheme: a name, an import path `package.module:Object`, or a scheme.
        forcing_step: Δ, step of the runoff, in seconds or such as `1d`; not needed with a DataArray.
        routing_step: δ, in seconds or such as `1h`; Δ is a multiple of it.
        celerity: m/s, a number or (reach,), in place of `parameters`: the scheme's are made from it and the lengths.
        spreading: the scheme's second parameter beside celerity, such as x of muskingum; its default where not given.
        options: further arguments of `Router`, such as `engine`, `targets`, `convention`, `hillslope`; `state`, and
            `return_state=True` to return (discharge, state).

    Returns:
        (..., time, target) mean discharge of each forcing step, m³/s: a tensor, an array or a DataArray.

    Raises:
        InputError: runoff of another number of reaches or with NaN, reaches that a DataArray lacks, steps that do not
            divide, or parameters that are missing, unknown or outside their range.

    Example:
        >>> import numpy as np, rivergrad as rg
        >>> network = rg.RiverNetwork.from_ids([1, 2, 3], [3, 3, -1], length=[9e3, 7e3, 12e3])
        >>> runoff = np.ones((10, 3))  # (time, reach), m³/s
        >>> discharge = rg.route(network, runoff, forcing_step="1d", routing_step="1h", celerity=0.8)
        >>> discharge.shape
        (10, 3)
    """
    import torch

    from rivergrad.routing import route as route_tensors
    from rivergrad.routing import schemes

    step = None if forcing_step is None else step_seconds(forcing_step, "forcing_step")
    labelled: Any = None
    if _is_labelled(runoff):
        from rivergrad.io.labelled import by_reach, discharge_like, step_of

        step = step_of(runoff, "runoff") if step is None else step
        labelled = by_reach(runoff, network, "runoff")
    if step is None:
        raise InputError("found no forcing_step; expected the runoff's step, such as 1d")
    tensor = runoff
    if not isinstance(runoff, torch.Tensor):
        tensor = torch.from_numpy(_numbers(runoff if labelled is None else labelled.to_numpy(), network))
    of = schemes.get(scheme, options.get("convention", "standard"))
    if (parameters is None) == (celerity is None):
        raise InputError(
            f"found {'neither' if celerity is None else 'both'} of parameters and celerity; expected one"
        )
    if celerity is None:
        assert parameters is not None
        given = {name: _tensor(one, network, name, tensor.device) for name, one in parameters.items()}
    else:
        given = _from_celerity(of, network, celerity, spreading, tensor.device)
    found = route_tensors(
        network,
        tensor,
        given,
        scheme,
        forcing_step=step,
        routing_step=step_seconds(routing_step, "routing_step"),
        **options,
    )
    if isinstance(runoff, torch.Tensor):
        return found
    discharge, *state = found if options.get("return_state") else (found,)
    wanted: Any = discharge.detach().numpy()
    if labelled is not None:
        targets = options.get("targets")
        ids = network.reach_id if targets is None else network.reach_id[np.asarray(targets)]
        wanted = discharge_like(labelled, wanted, ids)
    return (wanted, *state) if state else wanted


def _is_labelled(values: Any) -> bool:
    return hasattr(values, "dims") and hasattr(values, "coords")


def _numbers(runoff: Any, network: RiverNetwork) -> NDArray[Any]:
    """Runoff (..., time, reach) as floats without NaN."""
    values = np.asarray(runoff)
    if values.dtype.kind not in "fiu":
        raise InputError(f"runoff: found {values.dtype}; expected numbers, m³/s")
    values = np.ascontiguousarray(
        values, values.dtype if values.dtype in (np.float32, np.float64) else np.float64
    )
    if values.ndim < 2 or values.shape[-1] != network.n_reaches:
        raise InputError(f"runoff: found the shape {values.shape}; expected (..., time, {network.n_reaches})")
    if not np.isfinite(values).all():
        at = np.argwhere(~np.isfinite(values))[0]
        raise InputError(
            f"runoff: found {values[tuple(at)]} at step {at[-2]} of reach id {network.reach_id[at[-1]]}; expected "
            "numbers"
        )
    return values


def _tensor(value: Any, network: RiverNetwork, name: str, device: Any) -> Tensor:
    """A parameter as a tensor (reach,) or (..., reach)."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.expand(network.n_reaches) if value.ndim == 0 else value
    if _is_labelled(value):
        from rivergrad.io.labelled import by_reach

        value = by_reach(value, network, name).to_numpy()
    array = np.asarray(value, np.float64)
    if array.ndim == 0:
        array = np.full(network.n_reaches, array)
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def _from_celerity(
    scheme: Scheme, network: RiverNetwork, celerity: Any, spreading: Any, device: Any
) -> dict[str, Tensor]:
    import torch

    if network.length is None:
        raise InputError("celerity: the network has no lengths; expected them, or the scheme's parameters")
    speed = _tensor(celerity, network, "celerity", device)
    bad = ~(torch.isfinite(speed) & (speed > 0)).reshape(-1, network.n_reaches).all(dim=0)
    if bool(bad.any()):
        at = int(torch.nonzero(bad)[0])
        raise InputError(
            f"celerity: found {float(speed.reshape(-1, network.n_reaches)[0, at])} at reach id {network.reach_id[at]}; "
            "expected m/s above 0"
        )
    own = scheme.spreading
    if spreading is not None and own is None:
        raise InputError(f"spreading: scheme {scheme.name} has none beside celerity; expected celerity alone")
    second = (
        None
        if own is None
        else _tensor(own.default if spreading is None else spreading, network, own.name, device)
    )
    length = torch.from_numpy(np.array(network.length)).to(device)
    return scheme.from_celerity(speed, second, length)
