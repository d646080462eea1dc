"""A tiny chat model with random weights, and a LoRA adapter on it: for tests, never for use."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.support.models.tiny_models import TARGETS, train_bpe

TURNS = ["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "</s>"]
# The form of Llama-3's.
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def build_tiny_generator(directory: Path, *, seed: int = 3, positions: int = 4096) -> tuple[Path, Path]:
    """Save `base` and `adapter` under a directory and return both paths."""
    base, adapter = directory / "base", directory / "adapter"
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=train_bpe(TURNS),
        bos_token=TURNS[0],
        eos_token=TURNS[1],
        additional_special_tokens=TURNS[2:],
        chat_template=TEMPLATE,
    )
    tokenizer.save_pretrained(str(base))
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=positions,
        initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    # As an instruction-tuned model has them: greedy decoding must not take these over.
    model.generation_config.update(do_sample=True, temperature=0.6, top_p=0.9, repetition_penalty=1.3)
    model.save_pretrained(str(base))
    build_generator_adapter(base, adapter)
    return base, adapter


def build_generator_adapter(base: Path, adapter: Path, *, task: str = "CAUSAL_LM") -> Path:
    """Save a LoRA adapter for generation, with random factors."""
    model = AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32)
    settings = {"r": 16, "lora_alpha": 32, "target_modules": TARGETS, "task_type": task}
    adapted = get_peft_model(model, LoraConfig(**settings))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    adapted.save_pretrained(str(adapter))
    return adapter
