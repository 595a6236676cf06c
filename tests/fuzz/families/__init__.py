"""The mutations, a family a module; `tests.fuzz.registry` puts them together."""
