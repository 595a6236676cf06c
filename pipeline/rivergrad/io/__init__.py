"""rivergrad."""
