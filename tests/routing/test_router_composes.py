"""`Router` within the rest of torch: ensembles, devices, copies, compilers, precision, transforms; and learning."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest
import torch
from forests import DAY, case, network, off, random_forest
from torch import Tensor

from rivergrad.errors import InputError
from rivergrad.model.bounds import Bounded
from rivergrad.model.kinds import Uniform
from rivergrad.routing import EnsembleState, Router, schemes
from rivergrad.runoff import Lstm, depth_to_discharge

C = case(random_forest(np.random.default_rng(1), 12, 3, 0.2), "muskingum", 4, 10, 1)
NETWORK = network(C.downstream)
N = NETWORK.n_reaches
STEPS = {"forcing_step": DAY, "routing_step": DAY / 4}
ENGINES = ("closure", "recurrence")
by_engine = pytest.mark.parametrize("engine", ENGINES)


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    torch.manual_seed(0)


def double(engine: str = "recurrence") -> Router:
    return Router(NETWORK, dtype=torch.float64, engine=engine, **STEPS)


class Behind(torch.nn.Module):
    """A network with a router behind it: runoff and celerities are learned."""

    def __init__(self, engine: str = "recurrence", dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.layer = torch.nn.Linear(N, N, dtype=dtype)
        torch.nn.init.uniform_(self.layer.weight, 0, 0.3, generator=generator)
        torch.nn.init.zeros_(self.layer.bias)
        self.log_k = torch.nn.Parameter(torch.log(C.parameters["k"]).to(dtype))
        self.router = Router(NETWORK, dtype=dtype, engine=engine, **STEPS)

    def forward(self, rain: Tensor) -> Tensor:
        runoff = torch.relu(self.layer(rain))
        parameters = {"k": torch.exp(self.log_k), "x": torch.full((N,), 0.2).to(self.log_k)}
        discharge: Tensor = self.router(runoff, parameters)[0]
        return torch.log1p(discharge)


RAIN = C.runoff.float()


class TestEnsembles:
    """Parameters (..., reach)."""

    k = torch.stack([C.parameters["k"] * factor for factor in (0.7, 1.0, 1.6)])

    def members(self, router: Router, runoff: Tensor) -> Tensor:
        return torch.stack([router(runoff, {"k": k, "x": C.parameters["x"]})[0] for k in self.k])

    @by_engine
    def test_members_are_runs_by_themselves(self, engine: str) -> None:
        router = double(engine)
        found, _ = router(C.runoff, {"k": self.k, "x": C.parameters["x"]})
        assert found.shape == (3, 10, N)
        assert torch.equal(found, self.members(router, C.runoff))
        windows = torch.stack([C.runoff, 2 * C.runoff])
        found, _ = router(windows, {"k": self.k[:, None], "x": C.parameters["x"]})
        assert off(found, self.members(router, windows)) <= 1e-13
        alone, _ = router(C.runoff, {"k": self.k[1:2], "x": C.parameters["x"]})
        assert torch.equal(alone[0], router(C.runoff, C.parameters)[0])
        each, _ = router(torch.stack([C.runoff] * 3), {"k": self.k, "x": C.parameters["x"].expand(3, N)})
        assert off(each, found[:, 0]) <= 1e-13

    @by_engine
    def test_gradient(self, engine: str) -> None:
        router, k, runoff = double(engine), self.k.clone().requires_grad_(), C.runoff.clone().requires_grad_()
        weight = torch.randn(3, 10, N, dtype=torch.float64)
        (router(runoff, {"k": k, "x": C.parameters["x"]})[0] * weight).sum().backward()
        own = []
        total = torch.zeros_like(runoff)
        for member, w in zip(self.k, weight, strict=True):
            one, r = member.clone().requires_grad_(), C.runoff.clone().requires_grad_()
            (router(r, {"k": one, "x": C.parameters["x"]})[0] * w).sum().backward()
            own.append(one.grad)
            total += r.grad  # type: ignore[arg-type]
        assert off(k.grad, torch.stack(own)) <= 1e-12  # type: ignore[arg-type]
        assert off(runoff.grad, total) <= 1e-12  # type: ignore[arg-type]

    def test_chunks_of_time(self) -> None:
        router, parameters = double(), {"k": self.k, "x": C.parameters["x"]}
        first, state = router(C.runoff[:4], parameters)
        second, _ = router(C.runoff[4:], parameters, state)
        assert off(torch.cat([first, second], dim=1), self.members(router, C.runoff)) <= 1e-12
        assert isinstance(state, EnsembleState)
        with pytest.raises(InputError, match="state: expected that of 2 members, found 3"):
            router(C.runoff[4:], {"k": self.k[:2], "x": C.parameters["x"]}, state)
        with pytest.raises(InputError, match="expected that of one set of parameters, found that of an"):
            router(C.runoff[4:], C.parameters, state)
        with pytest.raises(InputError, match="expected that of an ensemble, found RecurrenceState"):
            router(C.runoff[4:], parameters, router(C.runoff[:4], C.parameters)[1])

    def test_dimensions_that_do_not_go_together(self) -> None:
        with pytest.raises(
            InputError,
            match=re.escape(
                "runoff (2, 10, 12) and of the parameters (k (3, 12), x (12,)) that can be broadcast"
            ),
        ):
            double()(torch.stack([C.runoff] * 2), {"k": self.k, "x": C.parameters["x"]})
        with pytest.raises(InputError, match=r"expected one member of the ensemble at least"):
            double()(C.runoff, {"k": self.k[:0], "x": C.parameters["x"]})
        with pytest.raises(InputError, match=r"parameter k: expected one value a reach \(12\), found shape"):
            double()(C.runoff, {"k": self.k[:, :5], "x": C.parameters["x"]})


class TestCopiesAndPlaces:
    def test_it_adds_nothing_to_what_a_model_saves(self) -> None:
        model = Behind()
        assert set(model.state_dict()) == {"layer.weight", "layer.bias", "log_k"}
        assert not list(model.router.parameters())
        Behind("closure").load_state_dict(model.state_dict())
        assert "muskingum, 12 reaches, steps of 86400 s at 21600 s, engine recurrence" in repr(model)

    @by_engine
    def test_copies_and_pickles(self, engine: str) -> None:
        model = Behind(engine)
        expected = model(RAIN)
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert other.router is not model.router
            assert torch.equal(other(RAIN), expected)

    @by_engine
    def test_it_goes_where_its_model_goes(self, engine: str) -> None:
        model = Behind(engine).double()
        assert model.router.dtype == torch.float64
        exact, born = model(C.runoff), Behind(engine, torch.float64)
        born.load_state_dict(model.state_dict())
        assert exact.dtype == torch.float64
        assert torch.equal(exact, born(C.runoff))
        half = model.half()
        assert half.router.dtype == torch.float32
        assert model.float().router.dtype == torch.float32
        assert off(model.to("cpu")(RAIN), exact) <= 1e-2  # weights went through half precision
        if torch.cuda.is_available():
            assert off(model.to("cuda")(RAIN.to("cuda")).cpu(), exact) <= 1e-2
            assert model.router.device.type == "cuda"

    def test_dtype_is_checked(self) -> None:
        with pytest.raises(InputError, match=r"dtype: expected torch\.float32 or torch\.float64, found"):
            Router(NETWORK, dtype=torch.bfloat16, **STEPS)


@by_engine
def test_mixed_precision_around_it(engine: str) -> None:
    """Layers compute in bfloat16, routing in float32 all the same."""
    model = Behind(engine)
    with torch.autocast("cpu", torch.bfloat16):
        runoff = torch.relu(model.layer(RAIN))
        assert runoff.dtype == torch.bfloat16
        found, _ = model.router(runoff, {"k": torch.exp(model.log_k), "x": torch.full((N,), 0.2)})
    assert found.dtype == torch.float32
    parameters = {"k": torch.exp(model.log_k.double()), "x": torch.full((N,), 0.2).double()}
    assert off(found, double(engine)(runoff.double(), parameters)[0]) <= 1e-5
    found.sum().backward()
    assert model.layer.weight.grad.dtype == torch.float32  # type: ignore[union-attr]
    assert model.log_k.grad.abs().max() > 0  # type: ignore[union-attr]


@pytest.mark.parametrize(("engine", "backend"), [("recurrence", "aot_eager"), ("closure", "eager")])
# The compiler looks at `.grad` of what it takes up again, and imports what is deprecated.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor", "ignore::DeprecationWarning")
def test_compiled_around_it(engine: str, backend: str) -> None:
    torch._dynamo.reset()
    model = Behind(engine)
    expected = model(RAIN)
    expected.sum().backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]  # type: ignore[union-attr]
    compiled = torch.compile(model, backend=backend)
    seen = []
    for _ in range(4):
        model.zero_grad()
        found = compiled(RAIN)
        found.sum().backward()
        seen.append(torch._dynamo.utils.counters["frames"]["total"])
    assert torch.allclose(found, expected, rtol=1e-6)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert torch.allclose(parameter.grad, gradient, rtol=1e-5, atol=1e-7)  # type: ignore[arg-type]
    assert seen[0] > 0
    assert seen[-1] == seen[1]  # not anew with each call
    torch._dynamo.reset()


@pytest.mark.filterwarnings(
    "ignore:`torch.jit.script` is deprecated:DeprecationWarning"
)  # torch's own forward mode
class TestTransforms:
    """torch.func's grad, vjp and vmap work and nest; forward mode does by runoff; the rest says so."""

    x = C.parameters["x"]

    def loss(self, router: Router, runoff: Tensor, k: Tensor) -> Tensor:
        discharge: Tensor = router(runoff, {"k": k, "x": self.x})[0]
        return (discharge**2).sum(dim=(-1, -2))

    def by_hand(self, router: Router, runoff: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        leaves = (runoff.clone().requires_grad_(), k.clone().requires_grad_())
        found: tuple[Tensor, Tensor] = torch.autograd.grad(self.loss(router, *leaves), leaves)
        return found

    @by_engine
    def test_grad_vmap_and_both(self, engine: str) -> None:
        router = double(engine)
        k, runoffs = C.parameters["k"], torch.stack([C.runoff, 2 * C.runoff.flip(0)])
        ks = torch.stack([k, 1.3 * k])

        found = torch.func.grad(lambda r, k: self.loss(router, r, k), argnums=(0, 1))(C.runoff, k)
        for a, b in zip(found, self.by_hand(router, C.runoff, k), strict=True):
            assert off(a, b) <= 1e-12

        def one(r: Tensor, k: Tensor) -> Tensor:
            return self.loss(router, r, k)

        expected = torch.stack([torch.stack([one(r, k) for k in ks]) for r in runoffs])
        nested = torch.vmap(torch.vmap(one, in_dims=(None, 0)), in_dims=(0, None))(runoffs, ks)
        assert off(nested, expected) <= 1e-12
        paired = torch.vmap(one, in_dims=(2, 0))(runoffs.permute(1, 2, 0), ks)
        assert off(paired, expected.diagonal()) <= 1e-12

        each = torch.vmap(torch.func.grad(one, argnums=(0, 1)), in_dims=(None, 0))(C.runoff, ks)
        for at, k in enumerate(ks):
            for a, b in zip(each, self.by_hand(router, C.runoff, k), strict=True):
                assert off(a[at], b) <= 1e-12

    def test_forward_mode(self) -> None:
        router, tangent = double(), torch.randn_like(C.runoff)
        flow, along = torch.func.jvp(lambda r: router(r, C.parameters)[0], (C.runoff,), (tangent,))
        assert off(along, router(tangent, C.parameters)[0]) <= 1e-12
        assert off(flow, C.reference()) <= 1e-10
        with pytest.raises(InputError, match="derivatives in forward mode are those by runoff"):
            torch.func.jvp(
                lambda k: router(C.runoff, {"k": k, "x": self.x})[0],
                (C.parameters["k"],),
                (C.parameters["k"],),
            )

    def test_a_model_with_parameters_from_elsewhere(self) -> None:
        model = Behind()
        given = {name: 0.9 * value.detach() for name, value in model.named_parameters()}
        found = torch.func.functional_call(model, given, (RAIN,))
        gradient = torch.func.grad(lambda p: torch.func.functional_call(model, p, (RAIN,)).sum())(given)
        with torch.no_grad():
            for name, value in model.named_parameters():
                value.copy_(given[name])
        expected = model(RAIN)
        assert torch.equal(found, expected)
        expected.sum().backward()
        for name, value in model.named_parameters():
            assert off(gradient[name], value.grad) <= 1e-5  # type: ignore[arg-type]

    @by_engine
    def test_second_derivatives(self, engine: str) -> None:
        router = double(engine)
        runoff, k = C.runoff.clone().requires_grad_(), C.parameters["k"].clone().requires_grad_()
        for leaf in (runoff, k):
            (first,) = torch.autograd.grad(self.loss(router, runoff, k), leaf, create_graph=True)
            assert off(first, self.by_hand(router, C.runoff, C.parameters["k"])[leaf is k]) <= 1e-12
            with pytest.raises(InputError, match=r"^Router: it has first derivatives, not second ones"):
                first.sum().backward()
        prepared = router.prepare({"k": k, "x": self.x}, 10)
        loss = (router(C.runoff, prepared=prepared)[0] ** 2).sum()
        (first,) = torch.autograd.grad(loss, k, create_graph=True)
        with pytest.raises(InputError, match="first derivatives, not second ones"):
            first.sum().backward()
        gradient = torch.func.grad(lambda k: self.loss(router, C.runoff, k))
        for outer in (torch.func.jacrev, torch.func.jacfwd):
            with pytest.raises(
                InputError, match=r"first derivatives, not second|forward mode are those by runoff"
            ):
                outer(gradient)(C.parameters["k"])

    def test_no_state_goes_through(self) -> None:
        router = double()
        state = router(C.runoff, C.parameters)[1]
        with pytest.raises(
            InputError, match=r"under a transform of torch\.func: expected parameters, and neither"
        ):
            torch.func.grad(lambda r: router(r, C.parameters, state)[0].sum())(C.runoff)


@pytest.mark.parametrize("name", schemes.BUILT_IN)
def test_every_scheme_learns_behind_an_lstm(name: str) -> None:
    """From celerity and spreading: the loss falls, and every weight of both has a part in it."""
    generator = torch.Generator().manual_seed(2)
    scheme, length = schemes.get(name), torch.full((N,), 2e4, dtype=torch.float64)
    forcings = torch.rand(40, N, 3, generator=generator) ** 3 * torch.tensor([30.0, 20.0, 3.0])
    model, router = Lstm(hidden=8), Router(NETWORK, scheme, targets=[int(NETWORK.order[-1])], **STEPS)
    model.fit_scaling(
        *(f(forcings.reshape(-1, 3), 0) for f in (torch.mean, torch.std)), *[torch.zeros(0)] * 2
    )
    area = torch.full((N,), 4e8)
    celerity, spreading = Bounded(0.05, 20.0, True), scheme.spreading
    bounded = None if spreading is None else Bounded(spreading.lower, spreading.upper, spreading.lower > 0)
    estimated = Uniform(scheme, celerity, bounded)
    typical = None if spreading is None else spreading.default
    free = torch.zeros(estimated.n_free, N, dtype=torch.float64)
    features = free.new_zeros(N, 0)
    latent = torch.from_numpy(estimated.start(1.0, typical).values).requires_grad_()

    def discharge(runoff: Tensor, shared: Tensor) -> Tensor:
        parameters = estimated.parameters(estimated.layout.coefficients(shared), free, features, length)
        found: Tensor = router(depth_to_discharge(runoff, area, DAY), parameters)[0]
        return found

    with torch.no_grad():
        observed = discharge(0.6 * forcings[..., 0], torch.from_numpy(estimated.start(0.4, typical).values))
    optimiser = torch.optim.Adam(
        [{"params": model.parameters(), "lr": 0.03}, {"params": [latent], "lr": 0.1}]
    )
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        found = discharge(model(forcings, torch.zeros(N, 0)), latent)
        loss = ((found - observed)[10:] ** 2).mean() / observed[10:].var()
        loss.backward()
        assert all(parameter.grad.abs().max() > 0 for parameter in (*model.parameters(), latent))
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
