"""The errors a caller may want to tell from a defect."""

from __future__ import annotations


class UneticError(ValueError):
    """Bad input, said in one sentence: what was expected, what came, what to do.

    The command line prints it and ends with exit code 2; a dock shows it. Any
    other exception is a defect of this package.
    """


class ModelError(UneticError):
    """A model folder that is missing, damaged, foreign or too new."""
