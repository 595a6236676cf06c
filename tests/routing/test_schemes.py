"""Each scheme's response against its equation, its transfer function and its mass; errors and registration."""

from __future__ import annotations

import equations
import numpy as np
import pytest
import torch
from forests import ALL, DAY, TRIANGLE, case, draw_parameters, network, off
from scipy import stats

from rivergrad.errors import InputError
from rivergrad.routing import route, schemes
from rivergrad.routing.schemes.base import Parameter
from rivergrad.routing.schemes.firstpassage import first_passage_cdf

STEP = 3600.0


def impulse(steps: int) -> np.ndarray:
    return np.eye(1, steps)[0]


def tensors(**values: float | list[float]) -> dict[str, torch.Tensor]:
    return {name: torch.atleast_1d(torch.tensor(v, dtype=torch.float64)) for name, v in values.items()}


MUSKINGUM = {
    "delaying": (3 * STEP, 0.2),
    "c2 negative": (0.3 * STEP, 0.1),
    "c2 zero": (0.5 * STEP, 0.0),
    "c2 close to -1": (1e-3, 0.5),
    "c0 negative": (4 * STEP, 0.5),
    "reservoir": (10 * STEP, 0.0),
}


@pytest.mark.parametrize("kind", MUSKINGUM)
def test_muskingum_is_the_recursion(kind: str) -> None:
    k, x = MUSKINGUM[kind]
    c2 = equations.muskingum_coefficients(k, x, STEP)[2]
    assert {"c2 negative": c2 < 0, "c2 zero": c2 == 0, "c2 close to -1": c2 < -0.999}.get(kind, c2 > 0)
    h = schemes.get("muskingum").response(tensors(k=k, x=x), STEP, 50)[0]
    np.testing.assert_allclose(h, equations.muskingum(impulse(50), k, x, STEP), rtol=1e-12, atol=1e-15)


def test_muskingum_gradient_is_finite_where_c2_vanishes() -> None:
    p = {name: v.requires_grad_() for name, v in tensors(k=0.5 * STEP, x=0.0).items()}
    h = schemes.get("muskingum").response(p, STEP, 6)[0]
    found = torch.stack([torch.autograd.grad(one, p["k"], retain_graph=True)[0][0] for one in h])
    near = [equations.muskingum(impulse(6), 0.5 * STEP + e, 0.0, STEP) for e in (-1e-2, 1e-2)]
    np.testing.assert_allclose(found, (near[1] - near[0]) / 2e-2, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("tau", [0.0, 0.01 * STEP, STEP, 30 * STEP])
@pytest.mark.parametrize("name", ["linear_storage", "nash_cascade"])
def test_storages_are_a_water_balance(name: str, tau: float) -> None:
    h = schemes.get(name).response(tensors(tau=tau), STEP, 80)[0]
    expected = equations.SCHEMES[name](impulse(80), tau, STEP)
    np.testing.assert_allclose(h, expected, rtol=1e-11, atol=1e-16)


def test_nash_cascade_of_any_length() -> None:
    for n in (1, 2, 5):
        h = schemes.NashCascade(n=n).response(tensors(tau=2 * STEP), STEP, 60)[0]
        np.testing.assert_allclose(
            h, equations.nash_cascade(impulse(60), 2 * STEP, STEP, n), rtol=1e-11, atol=1e-16
        )


@pytest.mark.parametrize("steps", [0.0, 0.25, 1.0, 3.0, 3.75, 7.999])
def test_pure_lag_interpolates(steps: float) -> None:
    h = schemes.get("pure_lag").response(tensors(delay=steps * STEP), STEP, 12)[0]
    np.testing.assert_allclose(h, equations.pure_lag(impulse(12), steps * STEP, STEP), atol=1e-13)
    assert float((h * torch.arange(12)).sum()) == pytest.approx(steps, abs=1e-12)


@pytest.mark.parametrize(
    ("celerity", "diffusivity", "length"),
    [(1.0, 1000.0, 10000.0), (0.1, 5000.0, 3000.0), (3.0, 10.0, 50000.0), (2.0, 20000.0, 8000.0)],
)
def test_hayami_is_first_passage(celerity: float, diffusivity: float, length: float) -> None:
    p = {"celerity": celerity, "diffusivity": diffusivity, "length": length}
    h = schemes.get("hayami").response(tensors(**p), STEP, 60)[0]
    np.testing.assert_allclose(h, equations.hayami(impulse(60), **p, step=STEP), rtol=1e-9, atol=1e-13)


def test_hayami_is_finite_and_right_for_every_admissible_parameter() -> None:
    """cL/D from 1e-6 to 1e8, and the corners of the admissible ranges: values, mass and gradients."""
    scheme = schemes.get("hayami")
    rows = [(1.0, 1e4 / peclet, 1e4) for peclet in 10.0 ** np.arange(-6, 9)]
    low, high = zip(*(scheme.bounds[name] for name in scheme.parameter_names), strict=True)
    rows += [tuple((low, high)[b >> i & 1][i] for i in range(3)) for b in range(8)]
    p = {
        name: torch.tensor(v, dtype=torch.float64, requires_grad=True)
        for name, v in zip(scheme.parameter_names, zip(*rows, strict=True), strict=True)
    }
    h = scheme.response(p, STEP, 500)
    assert bool(torch.isfinite(h).all())
    assert float(h.detach().min()) >= -1e-15
    assert float(h.detach().sum(dim=1).max()) <= 1 + 1e-12
    weight = torch.cos(torch.arange(500, dtype=torch.float64))
    for one in torch.autograd.grad((h * weight).sum(), list(p.values())):
        assert bool(torch.isfinite(one).all())
    for i in range(6, 13):  # where scipy's own two-term formula holds
        c, d, length = rows[i]
        mean, shape = length / c, length**2 / (2 * d)
        with np.errstate(all="ignore"):
            expected = stats.invgauss(mean / shape, scale=shape).cdf(STEP * np.arange(501))
        np.testing.assert_allclose(h[i].detach(), np.diff(expected), atol=1e-12)


def test_hayami_gradient_against_differences() -> None:
    scheme = schemes.get("hayami")
    for peclet in (1e-3, 1.0, 50.0, 1e4):
        base = torch.tensor([1.0, 1e4 / peclet, 1e4], dtype=torch.float64)

        def passed(scale: torch.Tensor, base: torch.Tensor = base) -> torch.Tensor:
            t = torch.tensor([2000.0, 8000.0, 10500.0, 40000.0], dtype=torch.float64)
            return first_passage_cdf(t, *(scale * base))

        ones = torch.ones(3, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(passed, ones)
        if peclet <= 50:  # second ones are small differences of large numbers
            assert torch.autograd.gradgradcheck(passed, ones)
        weight = torch.tensor([1.0, -2.0, 3.0, 1.0], dtype=torch.float64)
        (expected,) = torch.autograd.grad(passed(ones), ones, weight)
        found = torch.vmap(torch.func.grad(lambda s, w: (passed(s) * w).sum()), (None, 0))(ones, weight[None])
        torch.testing.assert_close(found[0], expected)
    assert scheme.conserves_mass


@pytest.mark.parametrize("name", sorted(ALL))
def test_transfer_function_is_the_sum_of_the_response(name: str) -> None:
    scheme, steps = ALL[name], 600
    p = draw_parameters(scheme, 7, STEP, np.random.default_rng(2))
    z = torch.polar(
        torch.full((20,), 1.05, dtype=torch.float64), torch.linspace(0, 3, 20, dtype=torch.float64)
    )
    back = z ** -torch.arange(steps, dtype=torch.float64)[:, None]
    for response, transfer in (
        (scheme.response, scheme.transfer),
        (scheme.runoff_response, scheme.runoff_transfer),
    ):
        closed = transfer(p, STEP, z)
        if closed is None:
            assert name in ("hayami", "triangle") or (transfer == scheme.runoff_transfer and name != "rapid")
            continue
        summed = response(p, STEP, steps).to(torch.complex128) @ back
        torch.testing.assert_close(closed, summed, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", sorted(ALL))
def test_response_sums_to_one(name: str) -> None:
    scheme = ALL[name]
    p = draw_parameters(scheme, 20, STEP, np.random.default_rng(3))
    for response in (scheme.response, scheme.runoff_response):
        assert float((response(p, STEP, 20000).sum(dim=1) - 1).abs().max()) < 1e-9


@pytest.mark.parametrize("name", sorted(ALL))
def test_moments_are_those_of_the_response(name: str) -> None:
    """They only guide the first guess of a window, but a wrong unit or factor would make every guess bad."""
    scheme = ALL[name]
    p = draw_parameters(scheme, 9, STEP, np.random.default_rng(4), slow=20.0)
    h = scheme.response(p, STEP, 20000)
    n = torch.arange(20000, dtype=torch.float64)
    mean = (h * n).sum(dim=1) * STEP
    assert float((scheme.moments(p, STEP).mean - mean).abs().max()) <= STEP


def test_runoff_response_of_rapid_is_its_update() -> None:
    k, x = 2.5 * STEP, 0.3
    h = schemes.get("muskingum", "rapid").runoff_response(tensors(k=k, x=x), STEP, 40)[0]
    runoff = np.zeros((40, 1))
    runoff[0] = 1.0
    states = equations.rapid(np.array([-1]), runoff, np.array([k]), np.array([x]), STEP, 1)[1]
    np.testing.assert_allclose(h, states[:, 0], rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("name", schemes.BUILT_IN)
def test_from_celerity_gives_the_travel_time(name: str) -> None:
    scheme = schemes.get(name)
    c = torch.tensor([0.5, 2.0], dtype=torch.float64)
    length = torch.tensor([7000.0, 30000.0], dtype=torch.float64)
    spreading = None if scheme.spreading is None else torch.full((2,), scheme.spreading.default).double()
    p = scheme.from_celerity(c, spreading, length)
    assert tuple(p) == scheme.parameter_names
    torch.testing.assert_close(scheme.moments(p, STEP).mean, length / c)


class TestCheck:
    ids = (11, 22, 33)

    def test_admissible(self) -> None:
        schemes.get("muskingum").check(tensors(k=[1.0, 2.0, 3.0], x=[0.0, 0.5, 0.2]), self.ids)

    @pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf"), 0.0])
    def test_out_of_range_names_the_reach(self, bad: float) -> None:
        with pytest.raises(InputError, match=r"parameter k: expected .* s, found .*reach ids 22\)"):
            schemes.get("muskingum").check(tensors(k=[1.0, bad, 3.0], x=[0.1, 0.1, 0.1]), self.ids)

    def test_many_reaches_are_not_all_named(self) -> None:
        n = 100
        with pytest.raises(InputError, match="and 95 more"):
            schemes.get("muskingum").check(tensors(k=[1.0] * n, x=[0.6] * n), range(n))

    @pytest.mark.parametrize("names", [("k",), ("k", "x", "tau"), ("k", "X")])
    def test_missing_and_unknown(self, names: tuple[str, ...]) -> None:
        with pytest.raises(InputError, match="takes the parameters k, x; found " + ", ".join(names)):
            schemes.get("muskingum").check(tensors(**dict.fromkeys(names, [0.1] * 3)), self.ids)

    def test_shape(self) -> None:
        for shape in ((2,), (3, 1), (1, 3), ()):
            p = {"k": torch.ones(shape), "x": torch.full((3,), 0.1)}
            with pytest.raises(InputError, match=r"parameter k: expected one value a reach \(3\)"):
                schemes.get("muskingum").check(p, self.ids)


class TestRegistry:
    def test_unknown_name_hints_at_the_nearest(self) -> None:
        with pytest.raises(InputError, match="did you mean muskingum"):
            schemes.get("muskingham")

    def test_conventions(self) -> None:
        with pytest.raises(
            InputError, match="convention 'swat' is not known; expected one of standard, rapid"
        ):
            schemes.get("muskingum", "swat")
        with pytest.raises(InputError, match="convention rapid belongs to the scheme muskingum"):
            schemes.get("hayami", "rapid")
        with pytest.raises(InputError, match="convention 'rapid'"):
            schemes.get(schemes.get("muskingum"), "rapid")
        rapid = schemes.get("muskingum", "rapid")
        assert schemes.get(rapid, "rapid") is rapid

    def test_register_refuses(self) -> None:
        with pytest.raises(InputError, match="a built-in scheme has this name"):
            schemes.register("hayami", TRIANGLE.function, TRIANGLE.parameters)
        with pytest.raises(InputError, match="at least one parameter"):
            schemes.register("nothing", TRIANGLE.function, ())

    @pytest.mark.parametrize("time", [1, 9])
    def test_a_registered_scheme_is_routed_like_any_other(self, time: int) -> None:
        schemes.register("fading", TRIANGLE.function, TRIANGLE.parameters)
        assert schemes.names()[-1] == "fading"
        c = case(np.array([2, 2, 3, -1]), "triangle", 1, time)
        found = route(
            network(c.downstream), c.runoff, c.parameters, "fading", forcing_step=DAY, routing_step=DAY
        )
        p = {name: v.numpy() for name, v in c.parameters.items()}
        expected = equations.route(c.downstream, c.runoff.numpy(), p, "triangle", DAY, 1)[0]
        assert off(found, expected) < 1e-12

    def test_a_function_of_the_wrong_shape(self) -> None:
        one = schemes.register("flat", lambda p, t: t, (Parameter("a", "1", 1.0, 0.0, 1.0, ""),))
        with pytest.raises(
            InputError, match=r"scheme flat: its function returned shape \(5,\), expected \(2, 5\)"
        ):
            one.response(tensors(a=[0.1, 0.2]), STEP, 5)

    def test_no_celerity(self) -> None:
        one = schemes.register("plain", TRIANGLE.function, TRIANGLE.parameters)
        with pytest.raises(InputError, match="no rule that turns celerity"):
            one.from_celerity(torch.ones(1), None, torch.ones(1))
        with_rule = schemes.register(
            "ruled",
            TRIANGLE.function,
            TRIANGLE.parameters,
            celerity=lambda c, s, length: {"delay": length / c},
        )
        assert float(with_rule.from_celerity(torch.tensor(2.0), None, torch.tensor(6.0))["delay"]) == 3
