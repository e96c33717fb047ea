"""Views, shapes and planes in pixels of an image, however the image lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image as ImageLayer
from napari.layers import Labels, Shapes

from napari_unetic.errors import UneticError
from napari_unetic.image.region import Region
from napari_unetic.widgets.places import (
    current_plane,
    length_on_image,
    letters_of,
    shapes_region,
    view_region,
    visible_window,
)

PLACED = [
    pytest.param({}, id="plain"),
    pytest.param({"scale": (0.5, 0.25), "translate": (30, -7)}, id="scaled, moved"),
    pytest.param({"scale": (0.5, 0.5), "rotate": 30}, id="turned"),
    pytest.param({"shear": [0.3], "scale": (2, 3)}, id="sheared"),
    pytest.param({"affine": [[0, -2, 5], [2, 0.5, 6], [0, 0, 1]]}, id="affine"),
]


def looking_at(
    viewer: ViewerModel, layer: ImageLayer, centre: Any, *, height: int, width: int
) -> None:
    """Let the window show so many world units around a pixel of a layer."""
    viewer.canvas.size = (height * 4, width * 4)
    viewer.scene.camera.zoom = 4
    viewer.scene.camera.center = tuple(layer.data_to_world(centre))[-2:]


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


def test_view_of_a_part(viewer: ViewerModel) -> None:
    """The view is the box of the pixels that are seen, also of a scaled image."""
    layer = viewer.add_image(np.zeros((100, 200)), scale=(0.5, 0.25))
    looking_at(viewer, layer, (40, 80), height=10, width=10)
    assert view_region(viewer, layer, "YX") == Region.box(30, 60, 51, 101)
    assert visible_window(viewer, layer, "YX") == (slice(30, 51), slice(60, 101))


def test_view_of_all(viewer: ViewerModel) -> None:
    """A view of the whole image is no region."""
    layer = viewer.add_image(np.zeros((100, 200)))
    looking_at(viewer, layer, (50, 100), height=500, width=500)
    assert view_region(viewer, layer, "YX") is None
    assert visible_window(viewer, layer, "YX") == (slice(0, 100), slice(0, 200))


def test_view_at_the_edge(viewer: ViewerModel) -> None:
    """A view beyond the edge ends there; one beside the image is refused."""
    layer = viewer.add_image(np.zeros((100, 200)), name="cells")
    looking_at(viewer, layer, (0, 0), height=20, width=40)
    assert view_region(viewer, layer, "YX") == Region.box(0, 0, 11, 21)
    looking_at(viewer, layer, (-50, 0), height=20, width=40)
    with pytest.raises(UneticError, match="beside it; move the view"):
        view_region(viewer, layer, "YX")
    assert visible_window(viewer, layer, "YX") is None


def test_view_of_a_turned_image(viewer: ViewerModel) -> None:
    """On a turned image the view is the rectangle that the window is."""
    layer = viewer.add_image(np.zeros((100, 100)), rotate=45)
    looking_at(viewer, layer, (50, 50), height=20, width=20)
    region = view_region(viewer, layer, "YX")
    assert region is not None and not region.is_box
    half = 10 * np.sqrt(2)
    corners = np.array(region.polygons[0])
    np.testing.assert_allclose(np.hypot(*(corners - 50).T), np.full(4, half), atol=0.01)
    mask = region.mask(slice(0, 100), slice(0, 100))
    assert mask[50, 50] and mask[50, 63] and not mask[60, 60]


def test_view_from_the_side(viewer: ViewerModel) -> None:
    """A view in 3-D, or of other axes than rows and columns, is no part of a plane."""
    layer = viewer.add_image(np.zeros((5, 60, 80)))
    viewer.dims.order = (1, 0, 2)
    for _ in range(2):
        with pytest.raises(UneticError, match="rows and columns in 2-D"):
            view_region(viewer, layer, "ZYX")
        assert visible_window(viewer, layer, "ZYX") is None
        viewer.dims.order = (0, 1, 2)
        viewer.dims.ndisplay = 3


def test_view_of_a_plane_in_a_stack(viewer: ViewerModel) -> None:
    """Layers with fewer dimensions than the viewer are aligned at the end."""
    viewer.add_image(np.zeros((5, 60, 80)))
    layer = viewer.add_image(np.zeros((60, 80)), scale=(2, 2))
    looking_at(viewer, layer, (30, 40), height=20, width=20)
    assert view_region(viewer, layer, "YX") == Region.box(25, 35, 36, 46)


def test_view_of_columns_first(viewer: ViewerModel) -> None:
    """Rows and columns are those of the image, in whatever order it has them."""
    layer = viewer.add_image(np.zeros((200, 100)))
    looking_at(viewer, layer, (80, 40), height=20, width=10)
    assert view_region(viewer, layer, "XY") == Region.box(35, 70, 46, 91)


@pytest.mark.parametrize("keywords", PLACED)
def test_shapes_enclose_pixels(viewer: ViewerModel, keywords: dict[str, Any]) -> None:
    """A rectangle in the world encloses the pixels that lie in it, as they are seen."""
    layer = viewer.add_image(np.zeros((40, 50)), **keywords)
    corners = [(10.0, 5.0), (10.0, 30.0), (25.0, 30.0), (25.0, 5.0)]
    world = np.array([layer.data_to_world(corner) for corner in corners])
    shapes = Shapes([world], shape_type="polygon")
    mask = shapes_region(shapes, layer, "YX").mask(slice(0, 40), slice(0, 50))
    expected = np.zeros((40, 50), np.bool_)
    expected[11:25, 6:30] = True
    sure = np.zeros((40, 50), np.bool_)
    sure[10:26, 5:31] = True
    assert mask[expected].all() and not mask[~sure].any()


def test_shapes_in_their_own_place() -> None:
    """The placement of the shapes counts, and other kinds enclose nothing."""
    layer = ImageLayer(np.zeros((40, 50)), name="cells")
    box = np.array([[0, 0], [0, 10], [8, 10], [8, 0]])
    shapes = Shapes([box], shape_type="rectangle", scale=(2, 2), translate=(3, 4))
    assert shapes_region(shapes, layer, "YX") == Region(
        (((3, 4), (3, 24), (19, 24), (19, 4)),)
    )
    lines = Shapes([box[:2], box], shape_type=["line", "path"], name="lines")
    with pytest.raises(UneticError, match="polygon in lines, got none; draw one"):
        shapes_region(lines, layer, "YX")
    both = Shapes([box[:2], box], shape_type=["line", "polygon"])
    assert len(shapes_region(both, layer, "YX").polygons) == 1


def test_ellipse() -> None:
    """An ellipse encloses its area, not that of the box around it."""
    layer = ImageLayer(np.zeros((60, 60)))
    box = np.array([[10, 10], [10, 50], [30, 50], [30, 10]])
    region = shapes_region(Shapes([box], shape_type="ellipse"), layer, "YX")
    area = region.mask(slice(0, 60), slice(0, 60)).sum()
    assert area == pytest.approx(np.pi * 10 * 20, rel=0.02)


def test_shapes_over_a_stack() -> None:
    """Shapes drawn in one plane of a stack enclose the same part of every plane."""
    layer = ImageLayer(np.zeros((5, 40, 50)), scale=(3, 1, 1))
    flat = np.array([[0, 0], [0, 10], [8, 10], [8, 0]])
    drawn = np.insert(flat, 0, 6, axis=1)
    shapes = Shapes([drawn], shape_type="rectangle")
    assert shapes_region(shapes, layer, "ZYX") == shapes_region(
        Shapes([flat], shape_type="rectangle"), layer, "ZYX"
    )


def test_current_plane(viewer: ViewerModel) -> None:
    """The plane is that at the sliders, counted in the image, T before Z."""
    layer = viewer.add_image(
        np.zeros((3, 4, 20, 30)), scale=(1, 5, 1, 1), translate=(0, 10, 0, 0)
    )
    viewer.dims.set_point((0, 1), (1, 25))
    assert current_plane(viewer, layer, "TZYX") == (1, 3)
    assert current_plane(viewer, layer, "ZTYX") == (3, 1)
    assert current_plane(viewer, layer, "CZYX") == (3,)
    viewer.add_image(np.zeros((9, 9, 20, 30)))
    viewer.dims.set_point((0, 1), (8, 0))
    assert current_plane(viewer, layer, "TZYX") == (2, 0)


def test_current_plane_of_labels(viewer: ViewerModel) -> None:
    """Labels of a part of a stack count from their own first plane."""
    viewer.add_image(np.zeros((9, 20, 30)))
    layer = Labels(np.zeros((1, 20, 30), np.uint8), translate=(4, 0, 0))
    viewer.add_layer(layer)
    viewer.dims.set_point(0, 4)
    assert current_plane(viewer, layer, "ZYX") == (0,)


@pytest.mark.parametrize("keywords", PLACED)
def test_length(keywords: dict[str, Any]) -> None:
    """A line is as long as the pixels it crosses, however the image lies."""
    layer = ImageLayer(np.zeros((40, 50)), **keywords)
    ends = [layer.data_to_world(point) for point in ((10, 5), (13, 9))]
    line = Shapes([np.array(ends)], shape_type="line", scale=(1, 1))
    assert length_on_image(line, layer, "YX") == pytest.approx(5)


def test_length_between_planes() -> None:
    """Only what a line covers of rows and columns counts."""
    layer = ImageLayer(np.zeros((5, 40, 50)))
    line = Shapes([np.array([[0, 10, 5], [4, 13, 9]])], shape_type="line")
    assert length_on_image(line, layer, "ZYX") == pytest.approx(5)


def test_multiscale_counts_in_level_0() -> None:
    """Places on a multiscale image are pixels of level 0."""
    data = np.zeros((64, 64))
    layer = ImageLayer([data, data[::2, ::2]], multiscale=True, scale=(2, 2))
    line = Shapes([np.array([[0, 0], [0, 20]])], shape_type="line")
    assert length_on_image(line, layer, "YX") == pytest.approx(10)


def test_letters() -> None:
    """Colours are no dimension of a layer, other channels are."""
    colour = ImageLayer(np.zeros((40, 50, 3)), rgb=True)
    assert letters_of(colour, "YXC") == "YX"
    assert letters_of(ImageLayer(np.zeros((2, 40, 50))), "CYX") == "CYX"
