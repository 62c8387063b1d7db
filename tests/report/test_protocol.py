"""How a report says that its numbers were made."""

from __future__ import annotations

from collapselab.report.protocol import budget, training


def test_bytes_are_promised_on_cpus_alone() -> None:
    here, there = {"device": "cpu", "threads": 1}, {"device": "cuda", "threads": 2, "autocast": "bfloat16"}
    assert training([here, here]) == (
        "Training on cpu with 1 thread. Bytes are the same for the same kind of processor, threads and library versions."
    )
    assert training([there, here]) == (
        "Training on cpu with 1 thread and cuda with 2 threads, networks in bfloat16. Bytes are promised on CPUs alone."
    )
    compiled = there | {"compile": True}
    assert training([compiled]).startswith("Training on cuda with 2 threads, networks in bfloat16, steps compiled.")


def test_a_budget_counts_steps_and_images() -> None:
    short, long = ({"steps": steps, "config": {"batch_size": size}} for steps, size in ((100, 128), (2000, 32)))
    assert budget([short]) == "Budget: one training of 100 steps, 0.013 million images in all, each with its views."
    assert budget([short, long, long]) == (
        "Budget: 3 trainings of 100 to 2,000 steps, 0.14 million images in all, each with its views."
    )
