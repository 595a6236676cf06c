"""Losses, noise, optimisers and the posterior; plain arrays, no network and no files."""
