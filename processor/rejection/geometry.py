"""Rejection by shape and place: what cannot be a digit whatever the network would say of it."""

from collections.abc import Sequence

import numpy as np

from processor.records import Box, Cause, Mask, Rejection

SPECK_HEIGHTS = 0.3
"""Shorter than this share of a digit's height is a speck or a point."""

FLAT = 2.4
LOW_DASH = 0.5
"""A mark so many times wider than high, and lower than this share of a digit, is a dash."""

LINE_LIKE = 9.0
"""A mark so many times wider than high is a piece of a ruled line."""

THIN = 0.6
SLENDER = 3.0
"""A straight mark so many times longer than wide, thinner than this share of the page's pen, is printed."""

OVERSIZED = 4.0
"""Something so many digit heights high is a signature, a stamp or a drawing."""

SEVERAL = 1.4
"""Something so many times wider than its line is high, and like no digit, is several characters in one."""

STRAY = 0.7
"""A 1 lower than this share of the lowest digits of its page is a comma, or a bit of something."""

LOWEST = 10
"""The lowest digits of a page are this percentile of their heights."""

OTHERS = 8
"""From so many other digits on it is known how low those of a page are."""

LONE = 0.4
"""A number of a digit or two, lower than this share of the lowest in numbers of several, may be grain: in a
deep shadow specks of it look like digits, enlarged."""

LEGIBLE = 7
"""Lower than so many pixels of the scan nothing can be read, and the grain of dark paper looks like all."""

LOW_AT_EDGE = 0.75
"""A blob at the page's edge and lower than this share of its digits belongs to something cut off."""

MARGIN = 0.12
WIDEST_MARGIN = 48
"""The outer part of a page is so much of its shorter side, and at most so many working pixels, wide."""

SPANNING = 0.6
"""The margins of what is longer than this share of the page are twice as wide: a line, not a figure."""

INSIDE = 0.05
"""With less than this share of its ink inside of the margins, a mark is a frame or a shadow."""


def judge_stray(ones: Box, others: Sequence[int]) -> Rejection | None:
    """Why a number of nothing but 1s, in the box `ones`, is none on a page whose other digits are so high.

    Enlarged, any bit of a stroke is a 1: a comma that shines through from the other side of the paper, the
    end of a letter that a ruled line cut off.
    """
    if len(others) < OTHERS:
        return None
    size = ones.height / float(np.percentile(others, LOWEST))
    if size >= STRAY:
        return None
    return Rejection(Cause.SPECK, "{} times as high as the page's lowest digits", size, STRAY)


def judge_lone(digits: Sequence[Box], others: Sequence[int]) -> Rejection | None:
    """Why a number of few `digits` is doubted on a page whose `others`, in numbers of several, are so high.

    Fails, that is, doubts what was written, on a small figure alone beside large ones.
    """
    if len(others) < OTHERS:
        return None
    size = max(box.height for box in digits) / float(np.percentile(others, LOWEST))
    if size >= LONE:
        return None
    return Rejection(Cause.SPECK, "{} times as high as the lowest digits of numbers", size, LONE)


def judge_blob(box: Box, digit_height: float, page_shape: tuple[int, int]) -> Rejection | None:
    """Why a blob with `box` among digits `digit_height` px high is no digit; None where it may be one.

    `page_shape` is (height, width) in pixels.
    """
    page_height, page_width = page_shape
    flatness = box.width / box.height
    long_side = max(box.height, box.width) / digit_height
    if long_side < SPECK_HEIGHTS:
        return Rejection(Cause.SPECK, "{} digit heights high", long_side, SPECK_HEIGHTS)
    if flatness >= LINE_LIKE:
        return Rejection(Cause.RULED_LINE, "{} times as wide as high", flatness, LINE_LIKE)
    if flatness >= FLAT and box.height < LOW_DASH * digit_height:
        return Rejection(Cause.MARK, "{} times as wide as high", flatness, FLAT)
    at_edge = box.y <= 0 or box.bottom >= page_height or box.x <= 0 or box.right >= page_width
    if at_edge and box.height < LOW_AT_EDGE * digit_height:
        return Rejection(Cause.EDGE, "{} digit heights high", box.height / digit_height, LOW_AT_EDGE)
    return None


def judge_margin(box: Box, mask: Mask, page_shape: tuple[int, int]) -> Rejection | None:
    """Why a mark whose ink `mask` stands at `box` belongs to the page's edge; None where it may be writing.

    A cell that was cut out of a form has its borders there, whole, in pieces or as a corner that looks like
    a 7; a sheet has its shadow there. Fails where somebody writes a small figure into the very margin.
    """
    page_height, page_width = page_shape
    spans = box.height > SPANNING * page_height or box.width > SPANNING * page_width
    margin = (2 if spans else 1) * min(MARGIN * min(page_shape), WIDEST_MARGIN)
    rows, columns = np.arange(box.y, box.bottom), np.arange(box.x, box.right)
    inner_rows = (rows >= margin) & (rows < page_height - margin)
    inner_columns = (columns >= margin) & (columns < page_width - margin)
    share = float(mask[np.ix_(inner_rows, inner_columns)].sum()) / max(int(mask.sum()), 1)
    return Rejection(Cause.EDGE, "share inside the margins", share, INSIDE) if share < INSIDE else None


def judge_resolution(box: Box) -> Rejection | None:
    """Why a mark with `box` on the original page is too small to be read; None where it is large enough."""
    high = max(box.width, box.height)
    return Rejection(Cause.SPECK, "{} pixels high on the scan", high, LEGIBLE) if high < LEGIBLE else None


def judge_stroke(box: Box, area: int, pen_width: float) -> Rejection | None:
    """Why a lone mark of `area` px is a piece of a printed line, on a page written with a `pen_width`.

    A fine line that breaks leaves pieces that look like ones in every way but this.
    """
    long_side = max(box.width, box.height)
    width = area / long_side
    if long_side >= SLENDER * min(box.width, box.height) and width < THIN * pen_width:
        return Rejection(Cause.RULED_LINE, "{} pen widths thick", width / pen_width, THIN)
    return None


def judge_size(box: Box, line_height: float, page_digit_height: float) -> Rejection | None:
    """Why a mark like no digit is too large for one; the line and the page's digits are so many px high."""
    high = box.height / page_digit_height
    if high >= OVERSIZED:
        return Rejection(Cause.OVERSIZED, "{} digit heights high", high, OVERSIZED)
    wide = box.width / line_height
    if wide >= SEVERAL:
        return Rejection(Cause.SEVERAL_CHARACTERS, "{} times as wide as its line is high", wide, SEVERAL)
    return None
