"""The format of a measured figure."""

import json

from nmt.benchmark.figure import Figure


def trained(*values: float) -> Figure:
    return Figure(
        figure="train_tokens_per_second",
        config="small",
        precision="bf16",
        threads=2,
        values=values,
    )


def test_a_figure_is_one_line_of_json_with_its_configuration():
    assert json.loads(trained(9968.6).as_json()) == {
        "figure": "train_tokens_per_second",
        "system": "nmt",
        "config": "small",
        "precision": "bf16",
        "threads": 2,
        "value": 9969,
        "windows": [9969],
    }
    assert "\n" not in trained(9968.6).as_json()


def test_the_median_of_several_measurements_is_reported():
    figure = trained(100.0, 300.0, 110.0)
    assert json.loads(figure.as_json())["value"] == 110
    assert figure.describe() == "train tokens per second, bf16: 110.0   (100.0 to 300.0)"


def test_values_are_rounded_to_four_significant_digits():
    lines = [trained(value).as_json() for value in (0.123456, 1.98765, 24681.3)]
    assert [json.loads(line)["value"] for line in lines] == [0.1235, 1.988, 24680]
