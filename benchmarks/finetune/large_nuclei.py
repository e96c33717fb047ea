"""U2OS nuclei, five times as large as those the model knows: one image, two minutes.

    python benchmarks/finetune/large_nuclei.py DATA OUT

Each image in turn is learnt from, and the other four are scored.
"""

from __future__ import annotations

from protocol import ap, parser, start, tuned, u2os

from napari_unetic import load_model


def main() -> None:
    """Work out the cells that are not there yet."""
    arguments = parser(__doc__).parse_args()
    results = start(arguments)
    pairs = u2os(arguments.data)
    for seed in range(arguments.seeds):

        def one(seed: int = seed) -> dict[str, object]:
            run = arguments.out / f"u2os-{seed}"
            train, test = pairs[seed], [p for p in pairs if p is not pairs[seed]]
            result = tuned("nuclei", [train], run, arguments, minutes=2, seed=seed)
            assert result.verdict is not None
            diameter = load_model(result.model).description.input_diameter_px
            return {
                "before": ap("nuclei", test, diameter),
                "after": ap(result.model, test),
                "verdict": result.verdict.sentence,
            }

        results.cell(one, task="u2os", image=pairs[seed].id, seed=seed, minutes=2)


if __name__ == "__main__":
    main()
