"""The built-in runoff models: what they return, that they learn, and that water is neither made nor lost."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor

from rivergrad.runoff import FORCINGS, Correction, FlatModule, Hbv, RunoffSpec, depth_to_discharge, sequence
from rivergrad.runoff.buckets import PARAMETERS, per_step, sweep
from rivergrad.runoff.kernels import runoff_on_cpu

NAMES = ("elevation", "slope")
REACHES, STEPS = 7, 70


def weather(steps: int = STEPS, reaches: int = REACHES, windows: int = 2) -> tuple[Tensor, Tensor]:
    """Forcings (window, time, reach, variable) with frost and rain in turn, and attributes."""
    generator = torch.Generator().manual_seed(3)
    rain = 15 * torch.rand(windows, steps, reaches, generator=generator).pow(4)
    cold = 10 * torch.sin(torch.arange(steps) * 0.3)[:, None] + torch.linspace(-2, 4, reaches)
    warm = cold.expand(windows, steps, reaches)
    return torch.stack([rain, warm, (0.2 * warm).clamp_min(0)], -1), torch.randn(
        reaches, 2, generator=generator
    )


FORCING, ATTRIBUTES = weather()


def made(name: str, **options: object) -> torch.nn.Module:
    model = RunoffSpec(name, FORCINGS, NAMES, options=options, seed=5).build()
    flat = FORCING.reshape(-1, 3)
    model.fit_scaling(flat.mean(0), flat.std(0), ATTRIBUTES.mean(0), torch.tensor([1.0, 0.0]))  # type: ignore[operator]
    return model


def call(model: torch.nn.Module, forcings: Tensor = FORCING, attributes: Tensor = ATTRIBUTES) -> Tensor:
    given = (0.4 * forcings[..., 0],) if isinstance(model, Correction) else ()
    found: Tensor = model(forcings, attributes, *given)
    return found


@pytest.mark.parametrize("name", ["lstm", "hbv", "correction"])
class TestEveryModel:
    def test_shape_sign_and_windows_by_themselves(self, name: str) -> None:
        model = made(name)
        found = call(model)
        assert found.shape == (2, STEPS, REACHES)
        assert (found >= 0).all()
        assert found.mean() > 0.05
        one = call(
            model, FORCING[1][:, [4, 2]], ATTRIBUTES[[4, 2]]
        )  # no window or reach hears of another one
        assert torch.allclose(one, found[1][:, [4, 2]], rtol=1e-4, atol=1e-6)
        assert torch.allclose(
            call(model, FORCING[:, :40]), found[:, :40], rtol=1e-4, atol=1e-6
        )  # nor of later

    def test_what_it_learned_travels(self, name: str) -> None:
        model = made(name)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        other = RunoffSpec(name, FORCINGS, NAMES, seed=8).build()
        other.load_state_dict(model.state_dict())
        for same in (other, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert torch.equal(call(same), call(model))
        assert torch.equal(FORCING.mean((0, 1, 2)), other.forcing_mean)
        assert torch.equal(other.attribute_sd, torch.ones(2))

    def test_gradient_of_the_vector(self, name: str) -> None:
        """As that of the module's own parameters; the same in chunks that are computed again."""
        model = made(name).double()
        forcing, attributes = FORCING.double(), ATTRIBUTES.double()
        if isinstance(model, Correction):
            torch.nn.init.normal_(model.lstm.head.weight)
        flat = FlatModule(model)
        given = (0.4 * forcing[..., 0],) if isinstance(model, Correction) else ()
        (call(model, forcing, attributes) ** 2).sum().backward()
        own = torch.cat([parameter.grad.reshape(-1) for parameter in model.parameters()])  # type: ignore[union-attr]
        vector = torch.from_numpy(flat.vector()).requires_grad_()
        if not isinstance(model, Hbv):
            model.lstm.chunk = 3
        found = flat(vector, forcing, attributes, *given)
        (found**2).sum().backward()
        assert torch.allclose(vector.grad, own, rtol=1e-10, atol=1e-10)  # type: ignore[arg-type]
        assert own.ne(0).float().mean() > 0.9
        direction = torch.randn(flat.size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        with torch.no_grad():
            ends = [
                (flat(vector + e * direction, forcing, attributes, *given) ** 2).sum() for e in (1e-6, -1e-6)
            ]
        assert float((ends[0] - ends[1]) / 2e-6) == pytest.approx(float(own @ direction), rel=1e-4)

    def test_it_learns(self, name: str) -> None:
        model = made(name)
        truth = 0.7 * FORCING[..., 0].clone()
        truth[:, 1:] = 0.5 * (truth[:, 1:] + truth[:, :-1])
        optimiser = torch.optim.Adam(model.parameters(), 0.02)
        losses = []
        for _ in range(25):
            optimiser.zero_grad()
            loss = ((call(model) - truth) ** 2).mean()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        assert losses[-1] < 0.85 * losses[0]

    def test_automatic_mixed_precision(self, name: str) -> None:
        model = made(name)
        with torch.autocast("cpu", torch.bfloat16):
            found = call(model)
        assert found.dtype == torch.float32
        assert torch.allclose(found, call(model), rtol=0.1, atol=0.05)


@pytest.mark.parametrize("limit", [{"CUDNN_SERIES": 5}, {"CUDNN_NUMBERS": 5 * STEPS * 4 * 8}])
def test_no_call_of_cudnn_is_larger_than_it_counts(
    monkeypatch: pytest.MonkeyPatch, limit: dict[str, int]
) -> None:
    """As on a GPU, with smaller limits: the same runoff and gradient from calls within them."""
    model, sizes, lstm = made("lstm", hidden=8).double(), [], torch.lstm

    def look(given: Tensor, *others: object) -> object:
        sizes.append(given.shape[1])
        return lstm(given, *others)

    monkeypatch.setattr(torch, "lstm", look)
    forcing, attributes = FORCING.double(), ATTRIBUTES.double()
    found = []
    for devices in (("cuda",), ("cuda", "cpu")):
        monkeypatch.setattr(sequence, "LIMITED", devices)
        for name, value in limit.items():
            monkeypatch.setattr(sequence, name, value)
        model.zero_grad()
        runoff = call(model, forcing, attributes)
        (runoff**2).sum().backward()
        found.append((runoff, torch.cat([p.grad.reshape(-1) for p in model.parameters()])))  # type: ignore[union-attr]
    assert (sizes[0], sorted(sizes[1:])) == (14, [4, 5, 5])
    assert torch.allclose(found[1][0], found[0][0], rtol=1e-12)
    assert torch.allclose(found[1][1], found[0][1], rtol=1e-10, atol=1e-12)


def test_vector_there_and_back() -> None:
    model = made("lstm", hidden=8)
    flat = FlatModule(model)
    assert flat.size == 8 * 4 * (5 + 8 + 1) + 9
    model.lstm.head.bias.requires_grad_(False)  # type: ignore[union-attr]
    frozen = FlatModule(model)
    assert frozen.size == flat.size - 1
    doubled = 2 * frozen.vector()
    frozen.load(doubled)
    assert (frozen.vector() == doubled).all()
    assert set(flat.groups()) == {"lstm"}
    assert set(FlatModule(made("hbv")).groups()) == {"", "network"}
    assert flat.decays().sum() == flat.size - 32 - 1
    with pytest.raises(ValueError, match=f"expected a vector of {frozen.size} numbers"):
        frozen.load(doubled[1:])


def test_correction_is_exactly_one_at_first() -> None:
    given = 3 * torch.rand(2, STEPS, REACHES)
    assert torch.equal(made("correction")(FORCING, ATTRIBUTES, given), given)
    alone = RunoffSpec("correction", forcings=()).build()
    assert torch.equal(alone(FORCING[..., :0], ATTRIBUTES[:, :0], given), given)
    assert RunoffSpec("correction").needs_given
    assert not RunoffSpec("lstm").needs_given


@pytest.mark.parametrize("step", [86_400.0, 21_600.0])
def test_water_is_neither_made_nor_lost(step: float) -> None:
    model, forcing = Hbv(NAMES, step=step).double(), FORCING[:, :60]
    torch.nn.init.normal_(model.network[2].weight)  # type: ignore[index]
    with torch.no_grad():
        runoff, evaporation, start, end = model.water(forcing.double(), ATTRIBUTES.double())
    for reach in range(REACHES):
        into = forcing.double()[..., reach, 0].sum(1) + start.total()[:, reach]
        out = (runoff + evaporation).sum(1)[:, reach] + end.total()[:, reach]
        assert ((into - out).abs() / into).max() <= 1e-12
    assert all(bool((storage >= 0).all()) for storage in end)
    assert end.snow.max() > 0  # it ends in frost
    assert torch.allclose(runoff, model(forcing, ATTRIBUTES), rtol=1e-12)
    single = model.float().water(forcing, ATTRIBUTES)
    into = forcing[..., 0].sum(1) + single[2].total()
    out = single[0].sum(1) + single[1].sum(1) + single[3].total()
    assert ((into - out).abs() / into).max() <= 1e-6


@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_compiled_sweep_is_the_written_one(dtype: torch.dtype, allowed: float) -> None:
    """Forward and by every parameter, over two windows and as many threads, with frost, drought and floods."""
    reaches, steps, generator = 300, 200, torch.Generator().manual_seed(0)
    rain = 25 * torch.rand(steps, 2, reaches, generator=generator).pow(4)
    warm = 8 * torch.sin(torch.arange(steps) / 9)[:, None, None] + torch.linspace(-3, 3, reaches)
    potential = 5 * torch.rand(steps, 2, reaches, generator=generator) - 0.2
    forcings = torch.stack([rain, warm.expand_as(rain), potential]).to(dtype)
    leaves = {
        name: (bounds.lower + (bounds.upper - bounds.lower) * torch.rand(reaches, generator=generator))
        .to(dtype)
        .requires_grad_()
        for name, bounds in PARAMETERS.items()
    }
    parameters = {name: per_step(name, value, 43_200.0) for name, value in leaves.items()}
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found, expected = runoff_on_cpu(parameters, forcings), sweep(parameters, forcings)[0]
        weight = torch.randn(found.shape, generator=generator).to(dtype)
        mine, own = (
            torch.autograd.grad((one * weight).sum(), [*leaves.values()], retain_graph=True)
            for one in (found, expected)
        )
    finally:
        torch.set_num_threads(threads)
    assert (found - expected).norm() <= allowed * expected.norm()
    for name, a, b in zip(leaves, mine, own, strict=True):
        assert (a - b).norm() <= 10 * allowed * b.norm(), name


def test_parameters_of_the_buckets() -> None:
    typical = Hbv().parameters_of(torch.zeros(3, 0))
    for name, (lower, upper, value, _) in PARAMETERS.items():
        assert torch.allclose(typical[name], torch.tensor(value), atol=1e-5 * (upper - lower))
    wild = Hbv(NAMES).double()
    torch.nn.init.normal_(wild.network[2].weight, std=10.0)  # type: ignore[index]
    for name, value in wild.parameters_of(ATTRIBUTES).items():
        assert (value >= PARAMETERS[name].lower).all()
        assert (value <= PARAMETERS[name].upper).all()


def test_hourly_steps_are_days_cut_small() -> None:
    """Steady rain and warmth: after a year, the same runoff a day whatever the step."""
    daily = torch.tensor([6.0, 12.0, 1.0]).double().expand(365, 1, 3)
    quarter = torch.tensor([1.5, 12.0, 0.25]).double().expand(1460, 1, 3)
    none = torch.zeros(1, 0)
    a = Hbv(step=86_400.0).double()(daily, none)[-1]
    b = Hbv(step=21_600.0).double()(quarter, none)[-4:].sum(0)
    assert torch.allclose(a, b, rtol=2e-3)


def test_depth_to_discharge() -> None:
    depth = torch.tensor([[1.0, 2.0]])
    found = depth_to_discharge(depth, torch.tensor([86.4e6, 43.2e6], dtype=torch.float64), 86_400.0)
    assert torch.allclose(found, torch.tensor([[1.0, 1.0]]))
    assert found.dtype == torch.float32
