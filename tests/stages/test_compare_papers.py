"""compare-papers: a page that stands for itself, a table, and a verdict."""

import base64
import json
import re
from pathlib import Path

import pytest
import yaml

from fewphoton.cli import main
from fewphoton.config.load import load_section
from fewphoton.config.papers import CatalogueConfig
from fewphoton.figures import style
from fewphoton.figures.pipeline import draw
from fewphoton.io.metrics import read_table, write_table

ROOT = Path(__file__).resolve().parents[2]


def value(**options):
    return {"quantity": "atoms <found>", "published": 20, "table": "m.csv", "row": {"n": 5}, "column": "k", **options}


def catalogue(*values):
    paper = {"citation": "A & B (2015)", "doi": "10.1/x", "differs": "Ours are simulated."}
    items = [
        {"label": "Fig. 1", "title": "Frames", "data": "real", "figures": ["f/*.png"], "values": list(values)},
        {"label": "Fig. 2", "title": "Drawing", "data": "drawing", "left_out": "a drawing"},
        {"label": "Table 1", "title": "Numbers", "data": "simulated", "tables": ["m.csv", "absent.csv"]},
    ]
    other = {key: text for key, text in paper.items() if key != "doi"}
    return {"papers": {"emc": paper | {"items": items}, "xrai": other | {"items": items[:1]}}}


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    (folder / "f").mkdir(parents=True)
    style.save(draw(), folder / "f" / "a.png")
    write_table(folder / "m.csv", [{"n": 5, "k": 15}, {"n": 6, "k": None}])
    return folder


def compared(tmp_path, results, content, **options):
    (tmp_path / "papers.yaml").write_text(yaml.safe_dump(content))
    config = {"title": "All", "results": {"emc": str(results)}, "scales": {"emc": "reduced"}, **options}
    words = ["--catalogue", str(tmp_path / "papers.yaml"), "--config-json", json.dumps(config)]
    words += ["--page", str(tmp_path / "p.html"), "--table", str(tmp_path / "p.csv")]
    return main(["compare-papers", *words])


def test_page_and_table_tell_all(tmp_path, results, capsys):
    assert compared(tmp_path, results, catalogue(value(lowest=12, highest=20))) == 0
    assert "emc: 1 of 3 figures and tables regenerated" in capsys.readouterr().err
    page = (tmp_path / "p.html").read_text()
    small, picture = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(picture) == (results / "f" / "a.png").read_bytes()
    assert len(small) < len(picture)
    assert ">A &amp; B, Fig. 1</a>" in page
    assert re.findall(r'<a href="#([^"]+)"><img', page) == ["emc-fig-1"] == re.findall(r'<h3 id="([^"]+)">Fig. 1', page)
    for told in ("A &amp; B (2015)", "doi:10.1/x", "atoms &lt;found&gt;", "-25%", "within", "at least 12; at most 20"):
        assert told in page
    for told in ("a drawing", "holds no absent.csv", "reduced", "not in this run"):
        assert told in page
    rows = read_table(tmp_path / "p.csv")
    assert [(row["paper"], row["item"], row["state"]) for row in rows] == [
        ("emc", "Fig. 1", "regenerated"),
        ("emc", "Fig. 2", "left out"),
        ("emc", "Table 1", "missing"),
        ("xrai", "Fig. 1", "not in this run"),
    ]
    assert (float(rows[0]["published"]), float(rows[0]["ours"]), rows[0]["accepted"]) == (20, 15, "True")


def test_a_number_is_told_at_its_scales_alone(tmp_path, results):
    content = catalogue(value(scales=["full"], lowest=16), value(scales=["reduced", "brief"], quantity="kept"))
    assert compared(tmp_path, results, content, strict=True) == 0
    assert [row["quantity"] for row in read_table(tmp_path / "p.csv")][:1] == ["kept"]
    assert "&lt;found&gt;" not in (tmp_path / "p.html").read_text()
    assert compared(tmp_path, results, content, scales={"emc": "full"}, strict=True) == 1


def test_ours_may_be_the_median_of_several_rows(tmp_path, results):
    content = catalogue(value(row={}, median_over=["n"]))
    write_table(results / "m.csv", [{"n": 5, "k": 15}, {"n": 6, "k": 16}, {"n": 7, "k": 40}])
    assert compared(tmp_path, results, content) == 0
    assert float(read_table(tmp_path / "p.csv")[0]["ours"]) == 16


@pytest.mark.parametrize(
    ("options", "accepted", "note"),
    [
        ({"lowest": 16}, "False", "at least 16"),
        ({"highest": 14.5}, "False", "at most 14.5"),
        ({}, "", ""),
        ({"row": {"n": 6}, "lowest": 0}, "False", "at least 0"),
        ({"row": {"n": 7}, "lowest": 0}, "False", "expected one row"),
        ({"table": "none.csv", "lowest": 0}, "False", "none.csv"),
        ({"table": "none.csv"}, "", "none.csv"),
    ],
)
def test_numbers_that_are_not_accepted_stop_a_strict_run_alone(tmp_path, results, capsys, options, accepted, note):
    content = catalogue(value(**options))
    assert compared(tmp_path, results, content) == 0
    row = read_table(tmp_path / "p.csv")[0]
    assert row["accepted"] == accepted
    assert note in row["note"]
    (tmp_path / "p.html").unlink()
    assert compared(tmp_path, results, content, strict=True) == (1 if accepted == "False" else 0)
    assert (tmp_path / "p.html").exists()
    assert ("1 of our numbers are missing or outside" in capsys.readouterr().err) == (accepted == "False")


def test_a_figure_that_is_no_picture_is_named(tmp_path, results, capsys):
    (results / "f" / "a.png").write_bytes(b"no picture")
    assert compared(tmp_path, results, catalogue()) == 1
    assert "f/a.png: is no PNG picture" in capsys.readouterr().err


def test_bad_catalogues_are_typed_errors(tmp_path, results, capsys):
    content = catalogue()
    del content["papers"]["emc"]["items"][1]["left_out"]
    assert compared(tmp_path, results, content) == 1
    assert "Fig. 2: name figures or tables, or else say in left_out" in capsys.readouterr().err
    config = json.dumps({"results": {}})
    words = ["--page", "p.html", "--table", "p.csv", "--config-json", config]
    assert main(["compare-papers", "--catalogue", str(tmp_path / "none.yaml"), *words]) == 1
    assert "none.yaml" in capsys.readouterr().err


def test_the_catalogue_holds_every_figure_and_table():
    text = (ROOT / "config/published/papers.yaml").read_text()
    papers = load_section(CatalogueConfig, text, "papers.yaml").papers
    labels = {key: sorted(item.label for item in paper.items) for key, paper in papers.items()}
    assert labels["emc"] == sorted([*(f"Fig. {n}" for n in range(1, 7)), "Table 1"])
    assert labels["ankylography"] == sorted(f"Fig. {n}" for n in range(1, 6))
    assert labels["xrai"] == ["Fig. 1", "Fig. 2", "Table 1"]
    assert labels["separation"] == sorted([*(f"Fig. {n}" for n in range(1, 13)), *(f"Table {n}" for n in range(1, 4))])
