"""What will happen when Train is pressed, in words; needs no Qt and no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from napari_unetic.widgets.run_words import counted

BUDGETS: Final = {"minutes": "minutes", "epochs": "epochs", "steps": "steps"}
"""Fields of the settings that are budgets, one of which is asked for."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is to learn from.

    Parameters
    ----------
    n_train, n_validation : int
        Images, or planes of layers, on either side.
    source : str
        Where they come from.
    is_cut : bool
        Whether the only one there is is cut in two.
    notices : tuple of str
        Sentences the user should read.
    """

    n_train: int
    n_validation: int
    source: str
    is_cut: bool = False
    notices: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What is learnt from, and what is held back."""
        if self.is_cut:
            return f"One image, of {self.source}, a quarter of it held back"
        n = self.n_train + self.n_validation
        images = counted(n, "image")
        return f"{images} with labels, of {self.source}, {self.n_validation} held back"


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """A training as far as it is known before it begins.

    Parameters
    ----------
    survey : Survey
    classes : tuple of str
        Names of classes; none for objects.
    network : str
        "unetic-16, 0.48 M parameters".
    budget : str
        "30 min".
    device : str
        "CPU, 1 thread".
    """

    survey: Survey
    classes: tuple[str, ...]
    network: str
    budget: str
    device: str

    @property
    def text(self) -> str:
        """What will happen."""
        learnt = "objects, one by one"
        if len(self.classes) == 1:
            learnt = f"the class {self.classes[0]}"
        elif self.classes:
            learnt = f"the classes {', '.join(self.classes)}"
        said = (
            f"{self.survey.text} to choose weights with; learns {learnt}. "
            f"{self.network}; {self.budget}, {self.device}."
        )
        return " ".join([said, *self.survey.notices])


def budget_text(unit: str, value: float) -> str:
    """Return "30 min", "20 epochs", "1 step"."""
    if unit == "minutes":
        return f"{value:g} min"
    return counted(round(value), unit.removesuffix("s"))


def parameters_text(n: int) -> str:
    """Return how many weights a network has: "0.48 M parameters"."""
    millions = n / 1e6
    return f"{millions:.2f} M" if millions < 1 else f"{millions:.3g} M"


def name_for(source: str) -> str:
    """Return a plain name for a model, of where its images come from."""
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in Path(source).stem)
    return plain.strip("-")[:40] or "trained"
