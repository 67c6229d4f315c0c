"""`python -m nmt.cli`, as torchrun starts it: the same as the command `nmt`."""

from nmt.cli.start import main

if __name__ == "__main__":
    main()
