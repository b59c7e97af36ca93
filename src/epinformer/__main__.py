"""`python -m epinformer`, the same as the `epinformer` command."""

from epinformer.cli.main import main

if __name__ == "__main__":
    main()
