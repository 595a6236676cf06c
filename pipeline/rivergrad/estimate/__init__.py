"""Estimation of parameters for one piece of the network: parameter model, loss, optimiser, scores."""
