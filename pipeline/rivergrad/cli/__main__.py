"""`python -m rivergrad.cli` is `rivergrad`."""

from rivergrad.cli.app import main

if __name__ == "__main__":
    main()
