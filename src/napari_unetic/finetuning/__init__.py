"""Fine-tune: a model made better from a few corrected objects, with a verdict.

The river runs one way: layers or files, collected pairs, objects held out, a run folder
that holds all of it, training, tuning, verdict.
"""

from napari_unetic.finetuning.collect import collect_pairs
from napari_unetic.finetuning.collected import CollectedPair
from napari_unetic.finetuning.folder import pairs_of
from napari_unetic.finetuning.session import (
    Finetuned,
    begin_finetune_steps,
    finetune,
    finetune_steps,
    resume_finetune_steps,
)
from napari_unetic.finetuning.settings import finetune_settings
from napari_unetic.finetuning.verdict import Verdict

__all__ = [
    "CollectedPair",
    "Finetuned",
    "Verdict",
    "begin_finetune_steps",
    "collect_pairs",
    "finetune",
    "finetune_settings",
    "finetune_steps",
    "pairs_of",
    "resume_finetune_steps",
]
