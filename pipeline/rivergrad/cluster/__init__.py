"""Placing work on workers and moving series and scalars between them; the only user of Dask."""
