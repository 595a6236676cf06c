"""`python -m rivergrad` is `rivergrad`."""

from rivergrad.cli.app import main

if __name__ == "__main__":
    main()
