"""Placing pieces on workers and moving boundary series and scalars between them; the only user of Dask."""
