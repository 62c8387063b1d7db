"""What a study reads: the data set and the augmentations."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from collapselab.config.base import Count, Fraction, PositiveFloat, Strict, ordered

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Probability = Annotated[Fraction, Field(description="share of the images that it is done to, drawn for each")]
FractionRange = Annotated[tuple[Fraction, Fraction], AfterValidator(ordered)]
PositiveRange = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(ordered)]


class Normalise(Strict):
    """Channel statistics that images are normalised with, on a 0 to 1 scale."""

    mean: tuple[Fraction, Fraction, Fraction] = Field(description="of red, green and blue")
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = Field(description="of red, green and blue")


class Source(Strict):
    """What every data set may name."""

    normalisation: Normalise | None = Field(None, description="null: the training images' own mean and std")
    seed: Seed = Field(
        0, description="of what is drawn once for the data: which images are taken, and how digits are drawn"
    )


class Digits(Source):
    """scikit-learn's 1,797 handwritten digits, drawn on a canvas: real images without a download."""

    source: Literal["digits"]
    train: Count = Field(description="images drawn from training digits")
    validation: Count = Field(description="images drawn from digits kept for validation; never trained on")
    test: Count = Field(description="images drawn from test digits, read once, after the last epoch")
    size: PositiveRange = Field(description="side of the digit in pixels; the canvas is 32 x 32")
    shift: float = Field(ge=0, le=16, description="largest distance from the centre along each axis, pixels")
    angle: float = Field(ge=0, le=180, description="largest rotation either way, degrees")
    brightness: FractionRange = Field(description="grey value of the brightest stroke, fraction of white")
    noise: Fraction = Field(description="standard deviation of the sensor noise, fraction of white")
    colours: bool = Field(description="random colours for stroke and background, recorded as factors")


class Cifar10(Source):
    """CIFAR-10 from data/raw/cifar10 (original binary archive or image folder), downloaded when absent."""

    source: Literal["cifar10"]
    train: Count | None = Field(
        None, description="training images kept, balanced over classes; null for all that are left"
    )
    validation: Count = Field(description="images taken from the training part and never trained on")
    test: Count | None = Field(None, description="test images kept, balanced over classes; null for all 10,000")


class Folder(Source):
    """Any image folder: one subfolder a class, under train/ and test/ or directly (then split by seed)."""

    source: Literal["folder"]
    path: str = Field(
        description="the folder, from the root of the repository; after a change of its images: `dvc repro -f download`"
    )
    size: int = Field(ge=8, le=512, description="side of the square that images are resized and cropped to, pixels")
    validation: Fraction = Field(description="fraction of each class's training images kept for validation")
    test: Fraction = Field(
        description="fraction of each class kept for the test where the folder has no test/ of its own"
    )


SOURCES: dict[str, type[Digits | Cifar10 | Folder]] = {"digits": Digits, "cifar10": Cifar10, "folder": Folder}


class Crop(Strict):
    """RandomResizedCrop: a box of random area and aspect, resized to the image's size."""

    scale: FractionRange = Field(description="area of the box, fraction of the image")
    ratio: PositiveRange = Field((3 / 4, 4 / 3), description="width over height")


class Jitter(Strict):
    """ColorJitter: brightness, contrast, saturation and hue in random order."""

    probability: Probability = 0.8
    brightness: float = Field(0.0, ge=0, le=1, description="factor uniform in 1 +- brightness")
    contrast: float = Field(0.0, ge=0, le=1, description="factor uniform in 1 +- contrast")
    saturation: float = Field(0.0, ge=0, le=1, description="factor uniform in 1 +- saturation")
    hue: float = Field(0.0, ge=0, le=0.5, description="shift uniform in +- hue, turns of the colour circle")


class Erase(Strict):
    """RandomErasing after normalisation: a box of random area and aspect is set to the mean colour."""

    probability: Probability = 1.0
    scale: FractionRange = Field(description="area of the box, fraction of the image")
    ratio: PositiveRange = Field((0.3, 3.3), description="height over width, as torchvision draws it")


class Branch(Strict):
    """What one branch of a method sees. All switched off: the clean image. Applied in this order, each image its own draw."""

    views: Count = Field(1, description="draws of each image")
    crop: Crop | None = None
    flip: Fraction = Field(0.0, description="probability of a horizontal flip")
    rotate: float = Field(0.0, ge=0, le=180, description="largest rotation either way, degrees")
    jitter: Jitter | None = None
    grayscale: Fraction = Field(0.0, description="probability of dropping the colours")
    erase: Erase | None = None


Augmentation = dict[str, Branch]
