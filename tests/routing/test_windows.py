"""A window given by the user holds the whole response or is refused with one that does; nothing wraps."""

from __future__ import annotations

import re

import pytest
import torch
from forests import ALL, DAY, Case, case, chain, network, off

from rivergrad.errors import InputError
from rivergrad.routing import Router, route
from rivergrad.routing.closure.window import USER_TOLERANCE


def named_window(c: Case, window: int, **options: object) -> int:
    one = c.engine(window=window, **options)
    with pytest.raises(InputError, match=rf"window: {window} forcing steps .* would do$") as caught:
        one.prepare(c.parameters, 1000)
    return int(re.search(r"a window of (\d+)", str(caught.value)).group(1))


@pytest.mark.parametrize("ratio", [1, 3])
@pytest.mark.parametrize("name", sorted(ALL))
def test_the_named_window_is_the_shortest_that_does(name: str, ratio: int) -> None:
    c = case(chain(6), name, ratio, 60, 2, slow=4.0)
    named = named_window(c, 2)
    kernels = c.engine(window=named).prepare(c.parameters, 60)
    assert kernels.window == named
    out = c.engine(window=named).apply(kernels, c.runoff[None])[0][0]
    assert off(out, c.reference()) < 30 * USER_TOLERANCE
    if named > 3:
        assert named_window(c, named - 1) == named


def test_five_reservoirs_of_ten_steps_in_a_window_of_32() -> None:
    """DESIGN.md §3: a bare transform over this window wraps most of the mass to the front."""
    c = case(chain(5), "linear_storage", 1, 300)
    c.parameters = {"tau": torch.full((5,), 10 * DAY, dtype=torch.float64)}
    inside = float(c.scheme.response({"tau": c.parameters["tau"]}, DAY, 32)[0].sum())
    assert inside == pytest.approx(
        1 - (10 / 11) ** 32, rel=1e-12
    )  # of one reservoir; five in a row hold less
    pulse = torch.zeros(300, 5, dtype=torch.float64)
    pulse[0, 0] = 1.0
    share = float(c.reference(pulse)[:32, 4].sum())
    assert share == pytest.approx(0.226, abs=5e-4)
    with pytest.raises(InputError, match=rf"leave {1 - share:.2g} of a path's response outside"):
        c.engine(window=32).prepare(c.parameters, 300)
    automatic = c.engine()
    out = automatic.apply(automatic.prepare(c.parameters, 300), pulse[None])[0][0]
    assert off(out, c.reference(pulse)) <= 1e-10
    named = named_window(c, 32)
    held = c.engine(window=named)
    out = held.apply(held.prepare(c.parameters, 300), pulse[None])[0][0]
    assert float((out - c.reference(pulse)).abs().max()) < USER_TOLERANCE


def test_shorter_blocks_need_shorter_windows() -> None:
    """The window holds the paths inside a block, so cutting a long river shortens it."""
    c = case(chain(20), "linear_storage", 1, 400)
    c.parameters = {"tau": torch.full((20,), 2 * DAY, dtype=torch.float64)}
    assert named_window(c, 2, block_reaches=2) < named_window(c, 2) / 2


def test_router_passes_the_window_on() -> None:
    c = case(chain(4), "nash_cascade", 1, 5)
    options = {"forcing_step": DAY, "routing_step": DAY}
    p = {"tau": torch.full((4,), 5 * DAY)}
    with pytest.raises(
        InputError, match=r"window: 8 forcing steps \(8 d\) leave .* at most 0.0001: a window of"
    ):
        route(network(c.downstream), c.runoff, p, "nash_cascade", window=8, **options)
    router = Router(network(c.downstream), "nash_cascade", window=500, **options)
    assert router.prepare(p, 5).window == 500


def test_a_window_for_a_scheme_that_loses_water() -> None:
    """Without a sum of one to measure against, the tail itself is measured."""
    from rivergrad.routing.schemes.base import Parameter
    from rivergrad.routing.schemes.custom import CustomScheme

    leaky = CustomScheme(
        "leaky",
        (Parameter("tau", "s", DAY, 1.0, 1e9, ""),),
        lambda p, t: 0.8 * (1 - torch.exp(-t[1] / p["tau"])) * torch.exp(-t / p["tau"]),
        conserves_mass=False,
    )
    c = Case(chain(3), leaky, 1, torch.rand(80, 3).double(), {"tau": torch.full((3,), DAY / 2).double()})
    named = named_window(c, 2)
    for one in (c.engine(), c.engine(window=named)):
        kernels = one.prepare(c.parameters, 80)
        assert kernels.window < 80
        assert off(one.apply(kernels, c.runoff[None])[0][0], c.reference()) < (
            1e-10 if one.window is None else 1e-3
        )
    assert float(c.reference().sum()) < 0.9 * float(c.runoff.sum() * 2)
