"""Semantic segmentation: classes of pixels, their masks, decoding and scores."""
