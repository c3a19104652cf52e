"""From the modes that images come in to 8-bit gray or RGB on white paper."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")

# Below this spread of gray levels (of 255) nothing on a page can be told from its paper.
NO_CONTRAST = 16

# White of the sample depths that files are written in; the float one is for values in [0, 1].
WHITE_LEVELS = (255.0, 4095.0, 65535.0)


def to_pixels(image: Image.Image, *, min_is_white: bool = False) -> NDArray[np.uint8]:
    """The picture as contiguous uint8, (H, W) where it holds no colour, else (H, W, 3) RGB.

    `min_is_white` is for samples deeper than 8 bits, which Pillow hands over as they stand in the file.
    """
    if image.mode in DEEP_MODES:
        gray = deep_to_gray(np.asarray(image))
        return 255 - gray if min_is_white else gray
    if image.has_transparency_data:
        image = on_white_paper(image)
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return without_equal_channels(np.array(image))


def deep_to_gray(samples: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Integer or float samples (H, W) of any depth as uint8 (H, W); values that are no number become paper.

    White is the smallest usual white level that holds the brightest sample: 12 bits are often stored in 16.
    Samples below 0, or above 16 bits, are stretched between their extremes.
    """
    values = samples.astype(np.float32)
    known = np.isfinite(values)
    if not known.all():
        values[~known] = values[known].max() if known.any() else 1.0
    low, high = float(values.min()), float(values.max())
    levels = (
        (1.0, *WHITE_LEVELS) if samples.dtype.kind == "f" else WHITE_LEVELS[samples.dtype.itemsize == 2 :]
    )
    white = next((level for level in levels if high <= level), np.inf)
    if low < 0 or white == np.inf:
        values -= low
        white = (high - low) or 1.0
    values *= 255 / white
    return np.rint(values).astype(np.uint8)


def on_white_paper(image: Image.Image) -> Image.Image:
    """The picture (any mode with transparency) laid on white paper, as L or RGB.

    Where the ink lies in the alpha channel alone (a signature pad's white or paper-coloured strokes), white
    paper would swallow it: then the ink is drawn dark where it is opaque. An alpha channel that is 0
    everywhere was never filled in (32-bit BMP) and is left out.
    """
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    image = image.convert(mode + "A")
    alpha = image.getchannel("A")
    opaque = image.convert(mode)
    low, high = extrema(alpha)
    if high == 0 or low == 255:
        return opaque
    paper = Image.new(mode, image.size, "white")
    paper.paste(opaque, mask=alpha)
    darkest, lightest = extrema(paper.convert("L"))
    if lightest - darkest < NO_CONTRAST <= high - low:
        return ImageChops.invert(alpha)
    return paper


def extrema(gray: Image.Image) -> tuple[int, int]:
    """The darkest and the lightest level of an L image."""
    used = [level for level, count in enumerate(gray.histogram()) if count]
    return used[0], used[-1]


def without_equal_channels(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) whose three channels are equal as (H, W); everything else as it is."""
    if pixels.ndim == 2:
        return pixels
    red, green, blue = (pixels[..., channel] for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return np.ascontiguousarray(red)
    return pixels
