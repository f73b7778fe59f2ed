"""``python -m lipop``: the command line."""

from lipop.cli import main

if __name__ == "__main__":
    main()
