"""`python -m modernbert` in, the command line out."""

from modernbert.cli.main import main

if __name__ == "__main__":
    main()
