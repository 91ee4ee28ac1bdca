import re
from xml.etree import ElementTree

import numpy as np

from modernbert.evals.reliability import draw
from modernbert.tasks.calibration import Answers, honesty
from modernbert.train.calibrate import Calibration

SVG = "{http://www.w3.org/2000/svg}"


def test_a_picture_stands_alone_and_shows_every_bin(tmp_path):
    scores = np.random.default_rng(0).standard_normal((200, 3))
    answers = Answers(scores, scores.argmax(1)[::-1].copy())
    before, after = honesty(answers), honesty(answers, 2.0)
    draw(Calibration(2.0, 200, 200, before, after), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert len(list(root.iter(f"{SVG}circle"))) == len(before.bins) + len(after.bins)
    assert len(list(root.iter(f"{SVG}polyline"))) == 1
    words = [each.text for each in root.iter(f"{SVG}text")]
    assert "How often 200 answers on --dev were right" in words
    assert f"● before: error {before.calibration_error:.1%}" in words
    assert not re.search(r"url\(|@import|<script|nan|inf\b", text)
    _, _, width, height = map(int, root.get("viewBox").split())
    places = [float(each.get("y")) for each in root.iter(f"{SVG}text")]
    assert all(0 < y < height for y in places)
    assert width < height
