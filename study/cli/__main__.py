"""`python -m study.cli` is the `study` command of that Python."""

from study.cli import main

if __name__ == "__main__":
    main()
