"""Workflows: their schema, and how a YAML file becomes one."""
