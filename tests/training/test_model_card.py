"""The card of a trained model: its values are JSON's, so that a program reads them as a person does."""

from __future__ import annotations

from sidecar.training.model_card import Card


def test_values_are_those_of_json():
    card = Card(
        name="mine",
        base="e5-small",
        adapted=True,
        command="sidecar train",
        data={"data 1": "`train.jsonl`, SHA-256 0123"},
        licences=[],
        recipe={"lora-targets": ("query", "key"), "dropout": None, "loss": "ranknet", "standardize-teacher": False},
        versions={},
        steps=1,
        best_step=1,
        figure=None,
        first_stage=None,
        figures={},
    )
    rows = [line for line in str(card).splitlines() if line.startswith("| ") and "---" not in line and line != "| | |"]
    assert rows == [
        "| data 1 | `train.jsonl`, SHA-256 0123 |",
        '| lora-targets | ["query","key"] |',
        "| dropout | null |",
        "| loss | ranknet |",
        "| standardize-teacher | false |",
    ]
