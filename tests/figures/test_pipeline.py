from pathlib import Path

import numpy as np
from matplotlib.image import imread

from fewphoton.figures import pipeline, style
from fewphoton.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]


def test_only_real_commands_are_drawn_as_commands():
    mono = [text for text in pipeline.draw().axes[0].texts if "Mono" in text.get_fontname()]
    drawn = {name for text in mono for name in text.get_text().split("\n")}
    assert drawn <= {stage.name for stage in STAGES}
    assert {"count-photons", "collapse", "reconstruct", "evaluate"} <= drawn


def test_nothing_is_cut_off_or_overlaps_its_box():
    figure = pipeline.draw()
    style.applied()(figure.draw_without_rendering)()
    axes = figure.axes[0]
    boxes = [patch.get_window_extent() for patch in axes.patches if hasattr(patch, "get_boxstyle")][1:]
    for text in filter(lambda text: text.get_text(), axes.texts):
        extent = text.get_window_extent()
        middle = (extent.x0 + extent.x1) / 2, (extent.y0 + extent.y1) / 2
        for box in boxes:
            if box.contains(*middle):
                assert box.x0 < extent.x0 < extent.x1 < box.x1, text.get_text()
                assert box.y0 < extent.y0 < extent.y1 < box.y1, text.get_text()


def test_card_is_white_and_its_corners_are_clear(tmp_path):
    style.save(pipeline.draw(), tmp_path / "pipeline.png")
    pixels = imread(tmp_path / "pipeline.png")
    assert pixels[0, 0, 3] == 0
    np.testing.assert_array_equal(pixels[40, pixels.shape[1] // 2], [1, 1, 1, 1])


def test_committed_drawing_is_the_one_drawn_now(tmp_path):
    committed = ROOT / "docs" / "pipeline.svg"
    text = committed.read_text(encoding="utf-8")
    assert text.startswith("<?xml")
    # Glyph outlines may differ between Matplotlib releases, the words beside them may not.
    style.save(pipeline.draw(), tmp_path / "pipeline.svg")
    comments = lambda content: {line.strip() for line in content.splitlines() if line.strip().startswith("<!--")}  # noqa: E731
    assert comments(text) == comments((tmp_path / "pipeline.svg").read_text(encoding="utf-8"))
