"""A network of your own makes runoff of weather, a Router behind it discharge: both learn from streamflow alone."""

import torch

import rivergrad as rg
from rivergrad.world import WorldSpec, generate_network, generate_weather, place_gauges

spec = WorldSpec(seed=3, reaches=100, years=2.5, weather=True, gauge_fraction=0.2)
world = generate_network(spec)
network, weather = world.network, generate_weather(spec, world.network)
a = {name: torch.tensor(value) for name, value in network.attributes.items()}
length, area = torch.tensor(network.length), a["area_m2"]
attributes = torch.stack([a["slope"].log() + 7, a["upstream_area_m2"].log() - 22], -1).float() / 2
forcings = torch.stack([torch.tensor(weather.precipitation) / 5, torch.tensor(weather.temperature) / 20], -1)
steps = {"forcing_step": 86400, "routing_step": 3600, "targets": place_gauges(spec, network).reach}
truth = {"k": torch.tensor(world.k), "x": torch.tensor(world.muskingum_x)}
observed = rg.route(network, torch.tensor(weather.runoff), truth, **steps).float()[200:]


class Routed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = torch.nn.LSTM(4, 24), torch.nn.Linear(24, 1)  # any network that makes runoff
        self.celerity = torch.nn.Linear(2, 1)
        self.router = rg.Router(network, "muskingum", **steps)

    def forward(self, forcings):
        series = torch.cat([forcings, attributes.expand(len(forcings), -1, -1)], dim=-1)
        depth = torch.nn.functional.softplus(self.head(self.lstm(series)[0]))[..., 0]  # mm a day
        k = length / torch.exp(self.celerity(attributes)[:, 0])
        return self.router(depth * area / 86.4e6, {"k": k, "x": torch.full_like(k, 0.2)})[0]


optimiser = torch.optim.Adam((model := Routed()).parameters(), lr=0.02)
for step in range(31):
    loss = (((model(forcings)[200:] - observed) ** 2).mean(0) / observed.var(0)).mean()
    print(f"step {step}: mean NSE of {observed.shape[1]} gauges {1 - loss.item():.3f}")
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
