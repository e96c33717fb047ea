"""Images with their labels: data sets, selections of them, and label images."""

from napari_unetic.pairs.pair import Pair, Pairs
from napari_unetic.pairs.readers import read_pairs, read_split
from napari_unetic.pairs.selection import read_ids, split

__all__ = ["Pair", "Pairs", "read_ids", "read_pairs", "read_split", "split"]
