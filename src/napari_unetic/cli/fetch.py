"""``unetic fetch``: a public data set, downloaded and checked."""

from __future__ import annotations

import argparse
from typing import Any

from napari_unetic.cli.progress import Progress
from napari_unetic.steps import drain

NAMES = "dsb2018|dsb2018-stardist"
"""The data sets, here as text since their module loads the network's."""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "fetch",
        help="download a public data set and check it",
        description="Download a public data set of nuclei with true outlines: dsb2018 "
        "(BBBC038, 670 images) or dsb2018-stardist (the fluorescence subset that "
        "StarDist published, 497 images). What was interrupted is continued; the "
        "SHA-256 is compared; what is already there is checked and kept. The zip is "
        "read in place by train, evaluate and demo.",
    )
    parser.add_argument("name", metavar=NAMES, help="which data set")
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="keep the zip here (default: the user's data folder, where demo and "
        "napari look for it; UNETIC_HOME moves that)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Fetch, and print where the data set is."""
    from napari_unetic.fetch import fetch_steps, find_dataset

    dataset = find_dataset(arguments.name)
    with Progress(dataset.name) as progress:
        progress.note(f"{dataset.title}; {dataset.about}.")
        fetched = drain(fetch_steps(dataset, arguments.out), progress)
    how = "already there" if fetched.was_there else "fetched"
    print(f"{how}: {fetched.path} ({fetched.n_bytes / 1e6:.1f} MB, SHA-256 is right)")
    return 0
