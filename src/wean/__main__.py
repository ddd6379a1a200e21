"""`python -m wean`."""

from wean.cli import main

if __name__ == "__main__":
    main()
