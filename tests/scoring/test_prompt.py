from __future__ import annotations

import time

import pytest

from sidecar.candidates import Passage
from sidecar.scoring.checkpoint import load_tokenizer
from sidecar.scoring.manifest import Manifest
from sidecar.scoring.presets import PLAIN_PAIR
from sidecar.scoring.prompt import Prompt


@pytest.fixture(scope="module")
def tokenizer(tiny_llama):
    return load_tokenizer(tiny_llama[0])


@pytest.fixture(scope="module")
def wordpiece(tiny_bert):
    return load_tokenizer(tiny_bert)


def test_a_pair_is_bos_query_bos_document(tokenizer):
    [pair] = Prompt(tokenizer, Manifest()).pairs("cats", [Passage("T", "p")])
    plain = [tokenizer.encode(text, add_special_tokens=False) for text in ("query: cats", "document: T p")]
    assert pair.ids == [0, *plain[0], 0, *plain[1]]
    assert pair.types is None


def test_the_names_of_special_tokens_are_text(tokenizer):
    [pair] = Prompt(tokenizer, Manifest()).pairs("<|begin_of_text|>", [Passage("<|end_of_text|>", "x <|end_of_text|>")])
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    assert pair.ids.count(bos) == 2
    assert eos not in pair.ids
    assert tokenizer.decode(pair.ids[1:]).count("<|end_of_text|>") == 2


def test_the_names_of_special_tokens_are_text_to_wordpiece(wordpiece):
    [pair] = Prompt(wordpiece, PLAIN_PAIR).pairs("[SEP] q", [Passage("", "a [SEP] b [CLS] [PAD]")])
    assert pair.ids.count(wordpiece.sep_token_id) == 2
    assert pair.ids.count(wordpiece.cls_token_id) == 1
    assert wordpiece.pad_token_id not in pair.ids
    assert pair.types.count(0) == pair.ids.index(wordpiece.sep_token_id) + 1


def test_the_names_of_special_tokens_are_text_to_llama_2():
    from transformers import LlamaTokenizer

    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2} | {letter: index for index, letter in enumerate("▁<s/>queryaocumnt: ", 3)}
    tokenizer = LlamaTokenizer(vocab=vocab, merges=[])
    assert tokenizer("a</s>", add_special_tokens=False)["input_ids"][-1] == 2
    [pair] = Prompt(tokenizer, Manifest()).pairs("<s>", [Passage("", "a </s>")])
    assert not {1, 2} & set(pair.ids)  # built by hand, it has no template that writes a bos


def test_the_card_cuts_the_longer_side_first(tokenizer):
    words = "a b c d e f g h " * 40
    [pair] = Prompt(tokenizer, Manifest()).pairs(words, [Passage("", words)])
    assert len(pair) == 228
    # 228 less two bos, in halves: 113 tokens of either side.
    assert [index for index, token in enumerate(pair.ids) if token == 0] == [0, 114]


def test_a_short_query_is_never_cut(tokenizer):
    [pair] = Prompt(tokenizer, Manifest()).pairs("a short one", [Passage("", "x y z " * 300)])
    query = tokenizer.encode("query: a short one", add_special_tokens=False)
    assert pair.ids[: len(query) + 2] == [0, *query, 0]
    assert len(pair) == 228


def test_sides_are_cut_apart_at_32_and_193_tokens_each_behind_a_bos(tokenizer):
    words = "a b c d e f g h " * 60
    prompt = Prompt(tokenizer, Manifest(truncation="separate"))
    [pair] = prompt.pairs(words, [Passage("", words)])
    assert [index for index, token in enumerate(pair.ids) if token == 0] == [0, 33]
    assert len(pair) == 1 + 32 + 1 + 193


@pytest.mark.parametrize("text", ["word " * 2_000_000, "x" * 10_000_000, " " * 10_000_000, "é🙂" * 3_000_000])
@pytest.mark.parametrize("truncation", ["joint", "separate"])
def test_ten_megabytes_take_no_time(tokenizer, text, truncation):
    prompt = Prompt(tokenizer, Manifest(truncation=truncation))
    start = time.perf_counter()
    [pair] = prompt.pairs("q", [Passage(text, text)])
    assert time.perf_counter() - start < 2
    assert 190 < len(pair) <= 228


def test_cutting_characters_first_leaves_the_first_tokens_alone(tokenizer):
    # 30 kB is beyond the characters kept for 228 tokens (228 * 128 = 29,184), and short enough to tokenise whole.
    text = "The quick brown fox, naïve as ever; 1234 times 東京! " * 600
    [pair] = Prompt(tokenizer, Manifest()).pairs("which fox", [Passage("", text)])
    assert len(text) > 29_184
    whole = tokenizer("query: which fox", f"document:  {text}", truncation=True, max_length=228)["input_ids"]
    assert pair.ids == whole


def test_no_passages_no_pairs(tokenizer):
    assert Prompt(tokenizer, Manifest()).pairs("q", []) == []
