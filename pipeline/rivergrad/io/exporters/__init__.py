"""Estimates in the files of other models and of GIS: a module an exporter, by the registry (kind `exporter`)."""
