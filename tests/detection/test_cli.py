"""The command as a user meets it: a file, or one plain sentence and an exit code."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet
from shapely.geometry import box

from detection import cli
from detection.errors import ModelUnavailable
from tests.conftest import PROJECT, MakeGeotiff
from tests.detection.oracle import NumberOracle, paint, spec
from tests.detection.outlines.makers import write_table

TOWN = [box(10, 10, 30, 40), box(50, 20, 90, 60)]


@pytest.fixture(autouse=True)
def _oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the command a model that needs no weights; all else is real."""

    def load(folder: Path, *, device: str, engine: str | None) -> NumberOracle:
        del folder, device, engine
        return NumberOracle(spec())

    def find(name: str) -> Path:
        if name == "absent":
            raise ModelUnavailable(name)
        return Path(name)

    monkeypatch.setattr(cli, "load_detector", load)
    monkeypatch.setattr(cli, "find_model", find)


@pytest.fixture
def scene(make_geotiff: MakeGeotiff) -> Path:
    return make_geotiff(paint(TOWN, width=120, height=100))


def test_detecting_writes_the_file_and_says_nothing_in_a_pipe(
    scene: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.geojson"

    code = cli.main(["detect", str(scene), "--output", str(output)])

    assert code == 0
    assert len(json.loads(output.read_text("utf-8"))["features"]) == 2
    assert capfd.readouterr() == ("", "")


def test_warnings_are_one_line_each(
    make_geotiff: MakeGeotiff, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = make_geotiff(np.random.default_rng(0).integers(0, 255, (1, 64, 64)).astype(np.uint8))

    assert cli.main(["detect", str(path), "--output", str(tmp_path / "out.gpkg")]) == 0

    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("Warning: The image has one band")


@pytest.mark.parametrize(
    "arguments",
    [
        ["absent.tif", "--output", "out.geojson"],
        ["{scene}", "--output", "out.shp"],
        ["{scene}", "--output", "out.geojson", "--model", "absent"],
        ["{scene}", "--output", "out.geojson", "--bands", "nonsense"],
        ["{scene}", "--output", "out.geojson", "--area", "absent.geojson"],
        ["{scene}", "--output", "out.geojson", "--outlines", "absent.geojson"],
        ["{scene}", "--output", "out.geojson", "--also-detect"],
    ],
)
def test_a_refusal_is_one_plain_sentence_and_exit_code_1(
    scene: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)

    code = cli.main(["detect", *(text.format(scene=scene) for text in arguments)])

    out, error = capfd.readouterr()
    assert code == 1
    assert out == ""
    assert error.count("\n") == 1
    assert "Traceback" not in error
    assert str(tmp_path) not in error


@pytest.mark.parametrize(
    "arguments",
    [[], ["detect"], ["unknown"], ["detect", "a.tif", "--output", "b", "--min-score", "2"]],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)

    assert caught.value.code == 2


def test_the_score_and_the_area_are_obeyed(scene: Path, tmp_path: Path) -> None:
    output, area = tmp_path / "out.geojson", tmp_path / "area.geojson"
    cli.main(["detect", str(scene), "--output", str(output)])
    first, _ = json.loads(output.read_text("utf-8"))["features"]
    area.write_text(json.dumps(first["geometry"]))

    cli.main(["detect", str(scene), "--output", str(output), "--area", str(area)])
    inside = json.loads(output.read_text("utf-8"))
    cli.main(["detect", str(scene), "--output", str(output), "--min-score", "1"])
    surest = json.loads(output.read_text("utf-8"))

    assert [one["geometry"] for one in inside["features"]] == [first["geometry"]]
    assert surest["features"] == []
    assert surest["metadata"]["options"]["min_score"] == 1


def test_known_outlines_are_judged_and_what_was_not_is_listed_beside_the_output(
    scene: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = write_table(
        tmp_path / "osm.gpkg",
        [
            (TOWN[0], {"osm_id": "17", "name": "Kiosk"}),
            (box(5000, 0, 5010, 10), {"osm_id": "18", "name": "elsewhere"}),
        ],
    )
    output, table = tmp_path / "out.geojson", tmp_path / "out.parquet"
    arguments = ["detect", str(scene), "--outlines", str(source), "--output"]

    assert cli.main([*arguments, str(output)]) == 0
    assert cli.main([*arguments, str(table), "--also-detect"]) == 0

    (feature,) = json.loads(output.read_text("utf-8"))["features"]
    assert feature["properties"]["source"] == "outline"
    assert feature["properties"]["outline_id"] == "17"
    assert feature["properties"]["attributes"] == {"osm_id": "17", "name": "Kiosk"}
    rows = parquet.read_table(table).to_pylist()
    assert sorted((row["source"], row["outline_id"]) for row in rows) == [
        ("detected", None),
        ("outline", "17"),
    ]
    assert {row["attributes"] for row in rows} == {'{"osm_id": "17", "name": "Kiosk"}', None}
    listing = (tmp_path / "out_not_analysed.csv").read_text("utf-8").splitlines()
    assert listing == ["number,outline_id,reason", "2,18,outside_image"]
    said = capfd.readouterr().err
    assert "1 of 2 outlines were not analysed; out_not_analysed.csv lists them" in said
    assert "judged where they were drawn" in said
    assert not list(tmp_path.glob("*.sqlite*"))


def test_ctrl_c_ends_it_without_a_traceback(tmp_path: Path, make_geotiff: MakeGeotiff) -> None:
    path = make_geotiff(np.ones((3, 600, 600), np.uint8))
    output = tmp_path / "out.geojson"
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from detection import cli\n"
        "from tests.detection.oracle import NumberOracle, spec\n"
        "class Slow(NumberOracle):\n"
        "    def predict(self, images, *, min_score):\n"
        "        print('looking', flush=True)\n"
        "        time.sleep(0.2)\n"
        "        return super().predict(images, min_score=min_score)\n"
        "cli.load_detector = lambda folder, device, engine: Slow(spec())\n"
        "cli.find_model = lambda name: name\n"
        f"sys.exit(cli.main(['detect', {str(path)!r}, '--output', {str(output)!r}]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)

    assert process.returncode == 130
    assert error == "Stopped; nothing was written.\n"
    assert not output.exists()
