"""The network in pieces: forward pass, objective, linearisation, sweeps and simulation."""
