import cv2
import numpy as np
import pytest

from paragraph_ocr.pipeline.ink import GLOBAL_SHARE, LOCAL_CONTRAST, components, find_ink_mask


@pytest.mark.parametrize(("dark", "light"), [(20, 230), (101, 140), (0, 20), (250, 255), (7, 7)])
def test_ink_is_what_is_darker_than_the_limit_or_its_neighbourhood(dark: int, light: int) -> None:
    page = np.random.default_rng(dark).integers(dark, light + 1, (90, 120)).astype(np.uint8)
    page[20:60, 30:34] = dark
    darkest, paper = np.percentile(page[::2, ::2], (1, 70))
    limit = paper - max(GLOBAL_SHARE * (paper - darkest), LOCAL_CONTRAST)
    around = cv2.blur(page, (41, 41), borderType=cv2.BORDER_REPLICATE).astype(int)
    expected = (page < limit) | (around - page > LOCAL_CONTRAST)
    assert np.array_equal(find_ink_mask(page), expected)


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.98, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (57, 83), (300, 400)])
def test_components_are_those_of_opencv(shape: tuple[int, int], share: float, connectivity: int) -> None:
    mask = (np.random.default_rng(0).random(shape) < share).view(np.uint8)
    count, labels, boxes, centres = cv2.connectedComponentsWithStats(mask, connectivity=connectivity)
    found = components(mask, connectivity)
    assert found.number == count
    assert np.array_equal(found.labels, labels)
    assert np.array_equal(found.boxes[1:], boxes[1:])
    assert np.array_equal(found.centres[1:], centres[1:])
