"""What will happen when Improve is pressed, in words; needs no Qt and no torch."""

from __future__ import annotations

from dataclasses import dataclass

from napari_unetic.widgets.run_words import counted

FEWEST = 5
"""Objects to learn from, and to judge by; as `napari_unetic.finetuning.held_out`."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round of fine-tuning, as far as it is known before it begins.

    Parameters
    ----------
    here : str
        What is corrected on the chosen image; may be empty.
    n_here : int
        How many objects that is.
    n_other : int
        Objects in the pairs collected so far, other images'.
    n_images : int
        Planes, all together.
    share : float
        To hold out.
    start : str
        Name of the model that it starts from.
    device : str
        "CPU, 1 thread".
    minutes : float
    steps : int or None
        The budget; minutes where no steps are given.
    is_open : bool
        Whether labels are chosen that could have been corrected.
    """

    here: str
    n_here: int
    n_other: int
    n_images: int
    share: float
    start: str
    device: str
    minutes: float
    steps: int | None = None
    is_open: bool = True

    @property
    def n_objects(self) -> int:
        """Objects, all together."""
        return self.n_here + self.n_other

    @property
    def fewest(self) -> int:
        """Objects that are needed."""
        return 2 * FEWEST if self.share > 0 else FEWEST

    @property
    def problem(self) -> str:
        """Why it cannot begin; empty if it can."""
        lacking = self.fewest - self.n_objects
        if lacking <= 0:
            return ""
        parts = f"{FEWEST} to learn from and {FEWEST} to judge by"
        why = parts if self.share > 0 else "to learn from"
        have = counted(self.n_objects, "corrected object")
        return (
            f"{have} so far, {self.fewest} are needed: {why}. Correct or accept "
            f"{lacking} more, or choose another reviewed area under More."
        )

    @property
    def text(self) -> str:
        """What will happen."""
        n_held = 0
        if self.share > 0:
            wanted = max(round(self.share * self.n_objects), FEWEST)
            n_held = min(wanted, self.n_objects - FEWEST)
        about = "" if n_held in (0, FEWEST) else "about "
        sides = (
            f"{about}{self.n_objects - n_held} to learn from, {about}{n_held} held out "
            "to judge by"
            if n_held
            else "all to learn from, none to judge by"
        )
        what = (
            f"{counted(self.n_objects, 'object')} on {counted(self.n_images, 'image')}"
        )
        if self.here and not self.n_other:
            what = f"{self.here} on {counted(self.n_images, 'image')}"
        elif self.here:
            what += f" (here {self.here})"
        elif self.is_open:
            what += ", none of them on this one"
        budget = (
            f"{self.minutes:g} min"
            if self.steps is None
            else counted(self.steps, "step")
        )
        return f"{what}; {sides}. Starts from {self.start}; {budget}, {self.device}."
