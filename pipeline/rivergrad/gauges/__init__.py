"""Gauges: which are screened out or held out, and how they are scored."""
