"""How a report says that its numbers were made."""

from __future__ import annotations

from collapselab.report.protocol import training


def test_bytes_are_promised_on_cpus_alone() -> None:
    here, there = {"device": "cpu", "threads": 1}, {"device": "cuda", "threads": 2, "autocast": "bfloat16"}
    assert training([here, here]) == (
        "Training on cpu with 1 thread. Bytes are the same for the same kind of processor, threads and library versions."
    )
    assert training([there, here]) == (
        "Training on cpu with 1 thread and cuda with 2 threads, networks in bfloat16. Bytes are promised on CPUs alone."
    )
