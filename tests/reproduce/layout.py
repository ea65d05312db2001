"""What every figure must be: on the page, with no two parts on top of each other."""

from matplotlib.backends.backend_agg import FigureCanvasAgg


def drawn(figure):
    """Lay a figure out; its renderer."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    return renderer


def assert_in_order(figure, *, data=True):
    """Legend and footer overlap no panel, nothing leaves the page, panels hold data and have labels."""
    renderer = drawn(figure)
    boxes = [axis.get_tightbbox(renderer) for axis in figure.axes]
    parts = [part.get_window_extent(renderer) for part in (*figure.legends, figure._supxlabel)]
    assert not [part for part in parts for box in boxes if part.overlaps(box)]
    page = figure.bbox
    for part in (*boxes, *parts):
        assert part.x0 >= -1
        assert part.y0 >= -1
        assert part.x1 <= page.x1 + 1
        assert part.y1 <= page.y1 + 1
    assert not data or all(axis.has_data() for axis in figure.axes)
    assert any(axis.get_ylabel() for axis in figure.axes)
