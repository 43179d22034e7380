import pytest

from fewphoton.config.compare_recoveries import CompareRecoveriesConfig
from fewphoton.errors import ConfigError, InputFileError
from fewphoton.io.metrics import read_table, write_table
from fewphoton.stages import compare_recoveries
from fewphoton.stages.contract import Context

QUIET = Context(progress=False)


def compared(folder, published, molecules=(), studies=None):
    write_table(folder / "published.csv", published)
    given = None
    if molecules:
        given = folder / "molecules.csv"
        write_table(given, molecules)
    tables = []
    for name, rows in (studies or {}).items():
        write_table(folder / f"{name}.csv", rows)
        tables.append(str(folder / f"{name}.csv"))
    inputs = compare_recoveries.Inputs(folder / "published.csv", given, tuple(tables))
    outputs = compare_recoveries.Outputs(folder / "out.csv")
    compare_recoveries.run(inputs, outputs, CompareRecoveriesConfig(studies=tuple(studies or ())), QUIET)
    return read_table(outputs.comparison)


def recovery(n_atoms, solved, method="m", **changes):
    row = {"molecule": "random", "method": method, "n_atoms": n_atoms, "solved": solved, "noise_level": 0.001}
    return row | {"error": 0.1 if solved else 0.5, "n_matched": n_atoms - (not solved), "seconds": n_atoms} | changes


def published(**keys):
    return {"figure": "4", "published": "words", **keys}


def test_rows_are_chosen_by_all_keys_and_told_by_method(tmp_path):
    rows = [recovery(5, True), recovery(19, False), recovery(20, False), recovery(5, True, noise_level=1e-4)]
    rows += [recovery(6, False, "other"), recovery(5, True, molecule="named")]
    wanted = published(study="s", molecule="random", noise_level=1e-3, most_atoms=19)
    ours, other = compared(tmp_path, [wanted], studies={"s": rows, "t": [recovery(5, True)]})
    assert (ours["method"], ours["n_runs"], ours["n_solved"], ours["success_rate"]) == ("m", "2", "1", "0.5")
    assert float(ours["error_median"]) == pytest.approx(0.3)
    assert (ours["unmatched_atoms_median"], ours["seconds_median"]) == ("0.5", "12.0")
    assert float(ours["success_rate_low"]) == pytest.approx(0.0945, abs=1e-3)
    assert (other["method"], other["n_runs"], other["published"]) == ("other", "1", "words")
    (large,) = compared(tmp_path, [published(study="s", fewest_atoms=20)], studies={"s": rows})
    assert (large["n_runs"], large["n_solved"]) == ("1", "0")


def test_single_molecules_go_by_their_labels(tmp_path):
    molecules = [
        {"molecule": name, "label": label, "method": "gespar", "n_atoms": 9, "n_matched": 9, "solved": True, "error": 0}
        | {"seconds": 1}
        for name in ("a", "b")
        for label in ("GESPAR", "weighted")
    ]
    rows = compared(tmp_path, [published(molecule="b"), published(molecule="b", method="weighted")], molecules)
    assert [row["method"] for row in rows] == ["GESPAR", "weighted", "weighted"]


def test_what_we_do_not_have_is_listed_all_the_same(tmp_path):
    (row,) = compared(tmp_path, [published(study="s", noise_level=7)], studies={"s": [recovery(5, True)]})
    assert (row["n_runs"], row["published"]) == ("0", "words")


def test_mistakes_are_named(tmp_path):
    with pytest.raises(InputFileError, match=r"published\.csv.*columns among.*found noise"):
        compared(tmp_path, [published(noise=1)])
    with pytest.raises(InputFileError, match="found no row"):
        compared(tmp_path, [])
    inputs = compare_recoveries.Inputs(tmp_path / "published.csv", None, ("a.csv",))
    outputs = compare_recoveries.Outputs(tmp_path / "out.csv")
    with pytest.raises(ConfigError, match="0 names for 1 tables"):
        compare_recoveries.run(inputs, outputs, CompareRecoveriesConfig(), QUIET)
