"""Workflows: what one run depends on, read and checked (`load`), and carried out (`run`)."""
