"""Networks of other models and data sets: a small module each, see `rivergrad.io.formats`."""
