"""How much two images are alike, pixel by pixel: PSNR and SSIM."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Images: TypeAlias = NDArray[np.uint8]  # N×H×W×C
Float64: TypeAlias = NDArray[np.float64]

LEAST_ERROR = 1 / 12  # of grey levels squared: that of rounding, by which PSNR is at most 58.9 dB
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # Wang et al. 2004, equation 7
WIDTH, RADIUS = 1.5, 5  # of the Gaussian window of 11×11 pixels


def psnr(a: Images, b: Images) -> Float64:
    """Return the peak signal-to-noise ratio of pairs of images, in dB: (N).

    It is 10 log10 255²/MSE. Equal images have that of rounding to grey levels, 58.9 dB.

    Args:
        a: uint8, N×H×W×C.
        b: of the same shape.
    """
    error = (a.astype(np.float64) - b).reshape(len(a), -1)
    return np.asarray(10 * np.log10(255**2 / np.maximum((error**2).mean(axis=1), LEAST_ERROR)))


def ssim(a: Images, b: Images) -> Float64:
    """Return the structural similarity of pairs of images, at most 1: (N).

    Source: Wang et al. 2004, equation 13, with their Gaussian window; the mean is over all windows
    that lie within the image, and over channels. Images of fewer than 11 pixels have one in the
    middle alone.

    Args:
        a: uint8, N×H×W×C.
        b: of the same shape.
    """
    from scipy.ndimage import gaussian_filter

    def mean(x: Float64) -> Float64:
        return np.asarray(gaussian_filter(x, (0, WIDTH, WIDTH, 0), radius=(0, RADIUS, RADIUS, 0)))

    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = mean(x), mean(y)
    var_x, var_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    found = luminance * (2 * covariance + C2) / (var_x + var_y + C2)
    pad = min(RADIUS, (a.shape[1] - 1) // 2)
    inner = found[:, pad : a.shape[1] - pad, pad : a.shape[2] - pad]
    return np.asarray(inner.reshape(len(a), -1).mean(axis=1))
