"""`python -m everyitem` is the `everyitem` command."""

from everyitem.faces.cli.app import main

if __name__ == "__main__":
    main()
