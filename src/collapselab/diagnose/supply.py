"""What a kind that can't be judged lacks, as options of the command."""

from __future__ import annotations

# Words of what kinds ask for -> the option that gives it.
OPTIONS = {
    "augmented views of the images": "--views FILE (images x views x dimensions)",
    "augmented views of the reference": "--reference FILE.npz with arrays `features` and `views`",
    "as the reference": "--reference FILE",
    "at initialisation": "--reference FILE",
    "softmax probabilities": "--probabilities FILE (images x prototypes)",
    "token outputs": "--tokens FILE (images x positions x dimensions)",
    "weights of the prototypes": "--prototypes FILE (prototypes x dimensions)",
}


def with_options(supply: str) -> str:
    """What to supply, and the options that take it: "augmented views of the images: --views FILE (...)"."""
    options = list(dict.fromkeys(option for words, option in OPTIONS.items() if words in supply))
    if not options:
        return supply
    return f"{supply}: {' and '.join(options)}"
