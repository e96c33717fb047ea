"""Networks: description, blocks, the U-Net, presets, losses, and where they run."""
