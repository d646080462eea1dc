"""Training itself, on models so small that a second is enough: what comes out, and what a kill changes (nothing)."""

from __future__ import annotations

import json
import shutil

import msgspec
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from sidecar.core.candidates import Passage
from sidecar.core.documents import PassageFields
from sidecar.core.errors import ConfigurationError, ModelError, TrainingError
from sidecar.scoring.checkpoints.checkpoint import load_tokenizer
from sidecar.scoring.checkpoints.manifest import Beside, read_manifest, write_manifest
from sidecar.scoring.loading import load_scorer
from sidecar.scoring.prompt import Prompt
from sidecar.settings.training import TrainingSettings
from sidecar.training.development import read_development
from sidecar.training.held_out import hold_out
from sidecar.training.preparing import Prepared
from sidecar.training.reading import Refusals, read_training
from sidecar.training.run_dir import RunDirectory
from sidecar.training.start import find_start
from sidecar.training.student import find_base, load_student
from sidecar.training.teachers import standardized
from sidecar.training.train import TrainingJob, train
from sidecar.training.trainer import RerankTrainer
from tests.support.training import tasks

FIELDS = PassageFields()
PASSAGES = [Passage("", "a verified list"), Passage("Title", "unknown value " * 9)]
QUICK = {"train_distillation_weight": 0.0, "train_learning_rate": 3e-3, "train_checkpoint_steps": 2}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny tensors only get slower by sharing."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Told:
    """A watch that remembers, and ends the training at a step if told to."""

    def __init__(self, killed_at=None):
        self.steps, self.figures, self.killed_at = [], {}, killed_at

    def step(self, step, total, pairs, loss):
        self.steps.append((step, total))
        if step == self.killed_at:
            raise KeyboardInterrupt

    def measured(self, step, figure, best):
        self.figures[step] = figure


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("task")
    data = tasks.write(folder / "train.jsonl", tasks.lists(32, seed=1))
    unseen = tasks.write(folder / "dev.jsonl", tasks.lists(12, seed=2, begin=50))
    groups = list(read_training(data, FIELDS, Refusals(drop=False, counts={})))
    return Prepared(groups, None, read_development(unseen, FIELDS, qrels=None, depth=100))


def run(base, prepared, output, *, resume=False, watch=None, **settings):
    job = TrainingJob(find_base(str(base)), prepared, "cpu")
    recipe = TrainingSettings(**{**QUICK, **settings})
    trained = train(job, recipe, RunDirectory(output, {}, resume=resume), watch or Told())
    with RunDirectory(output, {}, resume=True).publish() as folder:
        trained.save(folder)
    return trained


def weights(directory):
    return load_file(directory / "adapter_model.safetensors")


@pytest.fixture(scope="module")
def learnt(tiny_llama, prepared, tmp_path_factory):
    """A LoRA with the card's settings, trained for a few steps without interruption."""
    output = tmp_path_factory.mktemp("learnt") / "adapter"
    watch = Told()
    trained = run(tiny_llama[0], prepared, output, watch=watch, train_epochs=4)
    return output, trained, watch


def test_a_tiny_llama_learns_what_bm25_cannot_tell(learnt, prepared):
    output, trained, watch = learnt
    first = prepared.development.first_stage()
    figure = prepared.development.measure(load_scorer(str(output), device="cpu"))
    assert figure == pytest.approx(trained.outcome.figure, abs=0.02)
    assert figure > first + 0.3
    assert watch.steps[-1] == (8, 8)
    assert watch.figures == trained.outcome.figures
    assert trained.outcome.best_step == max(watch.figures, key=lambda step: (watch.figures[step], -step))


def test_plain_peft_loads_the_adapter_with_equal_scores(learnt, tiny_llama):
    output, trained, _ = learnt
    scorer = load_scorer(str(output), device="cpu", dtype="float32")
    ours = [score.value for score in scorer.score("a query", PASSAGES)]
    base = AutoModelForSequenceClassification.from_pretrained(str(tiny_llama[0]), num_labels=1, dtype=torch.float32)
    plain = PeftModel.from_pretrained(base, str(output)).eval()
    prompt = Prompt(load_tokenizer(tiny_llama[0]), trained.checkpoint.manifest)
    with torch.inference_mode():
        theirs = [plain(input_ids=torch.tensor([row.ids])).logits.item() for row in prompt.pairs("a query", PASSAGES)]
    assert ours == pytest.approx(theirs, abs=1e-4)
    config = json.loads((output / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["lora_dropout"], config["bias"]) == (16, 32, 0.05, "none")
    assert len(config["target_modules"]) == 7
    assert config["task_type"] == "SEQ_CLS"
    assert config["base_model_name_or_path"] == str(tiny_llama[0])
    assert any("score" in name for name in weights(output))


@pytest.fixture(scope="module")
def unmeasured(prepared):
    """The same without development lists, so that what is kept are the last weights, not the best."""
    return Prepared(prepared.groups, None, None)


@pytest.fixture(scope="module")
def uninterrupted(tiny_llama, unmeasured, tmp_path_factory):
    output = tmp_path_factory.mktemp("uninterrupted") / "adapter"
    trained = run(tiny_llama[0], unmeasured, output, train_epochs=4)
    assert trained.outcome.best_step == 8
    return weights(output)


@pytest.mark.parametrize("killed_at", [3, 5])
def test_a_training_that_was_killed_goes_on_to_the_same_weights(
    uninterrupted, tiny_llama, unmeasured, tmp_path, killed_at
):
    output = tmp_path / "adapter"
    with pytest.raises(KeyboardInterrupt):
        run(tiny_llama[0], unmeasured, output, watch=Told(killed_at), train_epochs=4)
    assert not output.exists()
    watch = Told()
    run(tiny_llama[0], unmeasured, output, watch=watch, resume=True, train_epochs=4)
    assert watch.steps[0][0] == killed_at - killed_at % 2 + 1
    resumed = weights(output)
    assert {name for name in uninterrupted if not torch.equal(uninterrupted[name], resumed[name])} == set()
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
    modes = {path.name: path.stat().st_mode for path in output.iterdir()}
    assert modes["adapter_model.safetensors"] == modes["sidecar.json"]


def test_a_kill_in_the_middle_of_a_checkpoint_costs_the_steps_since_the_one_before(
    uninterrupted, tiny_llama, unmeasured, tmp_path, monkeypatch
):
    def killed(trainer, output_dir):
        if trainer.state.global_step == 6:
            raise KeyboardInterrupt
        return save(trainer, output_dir)

    save = RerankTrainer._save_rng_state
    with monkeypatch.context() as patched:
        patched.setattr(RerankTrainer, "_save_rng_state", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tiny_llama[0], unmeasured, tmp_path / "adapter", train_epochs=4)
    watch = Told()
    run(tiny_llama[0], unmeasured, tmp_path / "adapter", watch=watch, resume=True, train_epochs=4)
    assert watch.steps[0][0] == 5
    resumed = weights(tmp_path / "adapter")
    assert {name for name in uninterrupted if not torch.equal(uninterrupted[name], resumed[name])} == set()


def test_an_encoder_without_a_head_learns_with_its_head_saved(tiny_bert, prepared, tmp_path):
    base = tmp_path / "encoder"
    shutil.copytree(tiny_bert, base)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
    kept = {name: tensor for name, tensor in load_file(base / "model.safetensors").items() if "classifier" not in name}
    save_file(kept, base / "model.safetensors", metadata={"format": "pt"})
    trained = run(base, prepared, tmp_path / "out", train_epochs=1)
    saved = weights(tmp_path / "out")
    assert any("classifier" in name for name in saved)
    assert any("pooler" in name for name in saved)
    assert not any("pooler" in name and "lora" in name for name in saved)
    scorer = load_scorer(str(tmp_path / "out"), device="cpu")
    assert scorer.manifest.pooling == "model"
    plain = PeftModel.from_pretrained(
        AutoModelForSequenceClassification.from_pretrained(str(base), num_labels=1), str(tmp_path / "out")
    ).eval()
    prompt = Prompt(load_tokenizer(base), scorer.manifest)
    with torch.inference_mode():
        theirs = [
            plain(input_ids=torch.tensor([row.ids]), token_type_ids=torch.tensor([row.types])).logits.item()
            for row in prompt.pairs("a query", PASSAGES)
        ]
    assert [score.value for score in scorer.score("a query", PASSAGES)] == pytest.approx(theirs, abs=1e-4)
    assert prepared.development.measure(scorer) == pytest.approx(trained.outcome.figure, abs=0.02)


def test_a_whole_model_can_be_trained_and_loads_as_one(tiny_bert, prepared, tmp_path):
    run(tiny_bert, prepared, tmp_path / "out", train_method="full", train_epochs=1, train_loss="lambda")
    before, after = (load_file(folder / "model.safetensors") for folder in (tiny_bert, tmp_path / "out"))
    assert before.keys() == after.keys()
    assert not torch.equal(
        before["bert.encoder.layer.0.output.dense.weight"], after["bert.encoder.layer.0.output.dense.weight"]
    )
    assert len(load_scorer(str(tmp_path / "out"), device="cpu").score("q", [Passage("", "t")])) == 1


def test_what_was_learnt_does_not_depend_on_how_the_passes_are_cut(tiny_bert, prepared, tmp_path, monkeypatch):
    for tokens, name in ((100_000, "whole"), (200, "cut")):
        monkeypatch.setattr("sidecar.training.train.CPU_TOKENS", tokens)
        run(tiny_bert, prepared, tmp_path / name, train_epochs=0.5, train_dropout=0.0, train_lora_dropout=0.0)
    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert max((whole[name] - cut[name]).abs().max().item() for name in whole) < 1e-3


def test_a_student_learns_from_a_teacher_alone(tiny_llama, prepared, tmp_path):
    teacher = [standardized([2.0 * (label or 0) for label in group.labels]) for group in prepared.groups]
    taught = Prepared(prepared.groups, teacher, prepared.development)
    settings = {"train_distillation_weight": 1.0, "train_temperature": 1.0, "train_passages": 5}
    trained = run(tiny_llama[0], taught, tmp_path / "out", train_epochs=4, **settings)
    assert trained.outcome.figure > prepared.development.first_stage() + 0.3


def test_in_bfloat16_what_is_trained_stays_in_float32(tiny_llama, prepared, tmp_path):
    trained = run(tiny_llama[0], prepared, tmp_path / "out", train_epochs=4, train_precision="bfloat16")
    dtypes = {name: value.dtype for name, value in trained.student.named_parameters()}
    assert {dtype for name, dtype in dtypes.items() if "lora_" in name or "modules_to_save" in name} == {torch.float32}
    assert {dtype for name, dtype in dtypes.items() if "base_layer" in name} == {torch.bfloat16}
    assert {tensor.dtype for tensor in weights(tmp_path / "out").values()} == {torch.float32}
    assert trained.outcome.figure > prepared.development.first_stage() + 0.3


def test_an_encoder_in_bfloat16_is_measured_while_it_learns(tiny_bert, prepared, tmp_path):
    trained = run(tiny_bert, prepared, tmp_path / "out", train_epochs=0.5, train_precision="bfloat16")
    assert trained.outcome.figures
    assert prepared.development.measure(load_scorer(str(tmp_path / "out"), device="cpu")) == pytest.approx(
        trained.outcome.figure, abs=0.1
    )


def test_training_stops_where_nothing_gets_better(tiny_llama, prepared, tmp_path):
    settings = {"train_patience": 2, "train_learning_rate": 1e-12, "train_checkpoint_steps": 1}
    trained = run(tiny_llama[0], prepared, tmp_path / "out", train_epochs=50, **settings)
    assert (trained.outcome.steps, trained.outcome.best_step) == (3, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_distillation_weight": 0.1}, "need a teacher's scores"),
        ({"train_target": "teacher"}, "need a teacher's scores"),
        ({"train_false_negative_margin": 0.0}, "found by a teacher's scores"),
        ({"train_loss": "lambda", "train_target": "teacher", "taught": True}, "lambda loss needs labels"),
        ({"train_lora_targets": "query,nonsense"}, "no linear module query, nonsense; it has q_proj, k_proj, v_proj"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_trained(
    tiny_llama, prepared, tmp_path, settings, message
):
    teacher = [[0.0] * len(group.passages) for group in prepared.groups] if settings.pop("taught", False) else None
    with pytest.raises(ConfigurationError, match=message):
        run(tiny_llama[0], Prepared(prepared.groups, teacher, None), tmp_path / "out", **settings)


def test_an_adapter_is_no_base(tiny_llama):
    with pytest.raises(ModelError, match="is an adapter; a base is a whole model"):
        find_base(str(tiny_llama[1]))


def test_a_base_with_holes_is_refused(tiny_bert, prepared, tmp_path):
    base = tmp_path / "base"
    shutil.copytree(tiny_bert, base)
    kept = {name: t for name, t in load_file(base / "model.safetensors").items() if "layer.1.output.dense" not in name}
    save_file(kept, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks the weights bert\.encoder\.layer\.1"):
        run(base, prepared, tmp_path / "out")


def test_a_loss_that_is_not_finite_ends_the_training_by_name(tiny_llama, prepared, tmp_path):
    teacher = [[1e38 * (label or 0) for label in group.labels] for group in prepared.groups]
    broken = Prepared(prepared.groups, teacher, None)
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) after step 0"):
        run(tiny_llama[0], broken, tmp_path / "out", train_distillation_weight=1.0, train_temperature=0.01)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("can't allocate memory: 9 bytes")]
)
def test_running_out_of_memory_names_the_settings_to_lower(tiny_llama, prepared, tmp_path, monkeypatch, error):
    def out_of_memory(*_):
        raise error

    monkeypatch.setattr("sidecar.training.student.Student.forward", out_of_memory)
    with pytest.raises(TrainingError, match="memory ran out") as found:
        run(tiny_llama[0], prepared, tmp_path / "out")
    assert "--batch-queries" in found.value.remedy
    assert "--gradient-checkpointing" in found.value.remedy


def test_gradient_checkpointing_changes_nothing_but_memory(uninterrupted, tiny_llama, unmeasured, tmp_path):
    run(tiny_llama[0], unmeasured, tmp_path / "out", train_epochs=4, train_gradient_checkpointing=True)
    saving = weights(tmp_path / "out")
    assert max((uninterrupted[name] - saving[name]).abs().max().item() for name in saving) < 1e-5


@pytest.mark.parametrize(
    ("asked", "large", "expected"), [(None, 1, True), (None, 10**9, False), (False, 1, False), (True, 10**9, True)]
)
def test_activations_of_a_large_base_are_computed_anew_unless_settings_say_otherwise(
    tiny_llama, monkeypatch, asked, large, expected
):
    monkeypatch.setattr("sidecar.training.student.LARGE", large)
    settings = TrainingSettings(train_gradient_checkpointing=asked)
    student, _ = load_student(find_base(str(tiny_llama[0])), settings, "cpu")
    assert student.classifier.model.gradient_checkpointing is expected


def test_an_adapter_is_trained_further_from_its_weights(learnt, tiny_llama, prepared, tmp_path):
    output, trained, _ = learnt
    start = find_start(None, str(output))
    job = TrainingJob(start, prepared, "cpu")
    # A learning rate of nothing leaves the weights as they were, so the start and the result rank alike.
    still = TrainingSettings(**{**QUICK, "train_learning_rate": 1e-12, "train_epochs": 0.5})
    again = train(job, still, RunDirectory(tmp_path / "still", {}, resume=False), Told())
    again.save(tmp_path / "saved")
    before, after = weights(output), weights(tmp_path / "saved")
    assert before.keys() == after.keys()
    assert max((before[name] - after[name]).abs().max().item() for name in before) < 1e-6
    assert again.outcome.gain.start == pytest.approx(trained.outcome.figure, abs=0.02)
    config = json.loads((tmp_path / "saved" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny_llama[0])
    scores = [
        load_scorer(str(folder), device="cpu").score("a query", PASSAGES) for folder in (output, tmp_path / "saved")
    ]
    assert [one.value for one in scores[1]] == pytest.approx([one.value for one in scores[0]], abs=1e-4)


def test_an_adapter_that_is_trained_further_changes_and_keeps_what_is_beside_it(tiny_bert, prepared, tmp_path):
    run(tiny_bert, prepared, tmp_path / "first", train_epochs=0.5)
    manifest = read_manifest(tmp_path / "first")
    write_manifest(msgspec.structs.replace(manifest, beside=Beside("e5-small", 2.0)), tmp_path / "first")
    job = TrainingJob(find_start(None, str(tmp_path / "first")), prepared, "cpu")
    recipe = TrainingSettings(**{**QUICK, "train_epochs": 1})
    further = train(job, recipe, RunDirectory(tmp_path / "second", {}, resume=False), Told())
    further.save(tmp_path / "second")
    before, after = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert read_manifest(tmp_path / "second").beside == Beside("e5-small", 2.0)
    # Measured as it is served: with the cosine.
    served = load_scorer(str(tmp_path / "second"), device="cpu")
    assert served.bi.name == "e5-small"
    assert prepared.development.measure(served) == pytest.approx(further.outcome.figure, abs=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"use_dora": True}, "can't be trained further"), ({"init_lora_weights": "pissa"}, "can't be trained further")],
)
def test_an_adapter_that_is_more_than_a_lora_is_not_trained_further(learnt, prepared, tmp_path, change, message):
    shutil.copytree(learnt[0], tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ConfigurationError, match=message):
        load_student(find_start(None, str(tmp_path / "adapter")), TrainingSettings(), "cpu")


def test_what_is_no_adapter_is_not_continued(tiny_llama, learnt, prepared, tmp_path):
    with pytest.raises(ConfigurationError, match="is a whole model, not an adapter"):
        find_start(None, str(tiny_llama[0]))
    with pytest.raises(ConfigurationError, match="the base model is missing"):
        find_start(None, None)
    job = TrainingJob(find_start(None, str(learnt[0])), prepared, "cpu")
    whole = TrainingSettings(**{**QUICK, "train_method": "full"})
    with pytest.raises(ConfigurationError, match="the method full trains a whole model"):
        train(job, whole, RunDirectory(tmp_path / "out", {}, resume=False), Told())


def test_without_development_lists_held_out_queries_are_measured_at_the_end(tiny_llama, prepared, tmp_path):
    groups, held_out = hold_out(prepared.groups, 0.25, lambda _: None)
    data = Prepared(groups, None, None, held_out)
    job = TrainingJob(find_start(str(tiny_llama[0]), None), data, "cpu")
    recipe = TrainingSettings(**{**QUICK, "train_epochs": 5})
    trained = train(job, recipe, RunDirectory(tmp_path / "out", {}, resume=False), Told())
    trained.save(tmp_path / "out")
    gain = trained.outcome.gain
    assert (gain.queries, gain.chosen, gain.start) == (8, False, None)
    assert gain.first_stage == held_out.first_stage()
    assert gain.trained == pytest.approx(held_out.measure(load_scorer(str(tmp_path / "out"), device="cpu")), abs=0.02)
    assert gain.lost_to == []
    assert sorted(trained.outcome.losses) == list(range(1, trained.outcome.steps + 1))
