"""`python -m rivergrad.cli` is `rivergrad`."""

from rivergrad.cli.app import main

main()
