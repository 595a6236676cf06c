"""Carrying out a workflow, from its input to its results."""
