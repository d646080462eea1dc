from __future__ import annotations

import time

import pytest

from sidecar.core.candidates import Passage
from sidecar.scoring.checkpoints.checkpoint import load_tokenizer
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.checkpoints.presets import PLAIN_PAIR
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


def truncated(prompt, query, *passages):
    return [pair.truncated for pair in prompt.pairs(query, list(passages))]


def test_truncated_says_whether_tokens_of_the_passage_are_missing(tokenizer):
    prompt = Prompt(tokenizer, Manifest())
    one = len(prompt.pairs("q", [Passage("", "a")])[0])  # every " a" is a token more
    words = [Passage("", "a" + " a" * (count - one)) for count in (227, 228, 229)]
    assert [len(pair) for pair in prompt.pairs("q", words)] == [227, 228, 228]
    assert truncated(prompt, "q", *words) == [False, False, True]


def test_a_query_that_is_cut_truncates_no_passage(tokenizer):
    long_query = "a " * 400
    assert truncated(Prompt(tokenizer, Manifest()), long_query, Passage("", "short"), Passage("", "b " * 300)) == [
        False,
        True,
    ]


@pytest.mark.parametrize("fixture", ["tokenizer", "wordpiece"])
def test_what_is_cut_before_it_is_tokenised_is_missing_too(request, fixture):
    # A WordPiece "word" of more than 100 letters is one [UNK]: its tokens never show that most of it was dropped.
    manifest = PLAIN_PAIR if fixture == "wordpiece" else Manifest()
    prompt = Prompt(request.getfixturevalue(fixture), manifest)
    [pair] = prompt.pairs("q", [Passage("", "x" * (prompt.characters + 1))])
    assert pair.truncated


def test_sides_cut_apart_tell_who_was_cut(tokenizer):
    prompt = Prompt(tokenizer, Manifest(truncation="separate"))
    one = len(tokenizer.encode("document:  a", add_special_tokens=False))
    fits, over = (Passage("", "a" + " a" * (count - one)) for count in (193, 194))
    assert truncated(prompt, "a " * 100, fits, over) == [False, True]


def test_half_a_surrogate_pair_is_read_as_the_replacement_character(tokenizer):
    prompt = Prompt(tokenizer, Manifest())
    broken, replaced = prompt.pairs("q \udc00", [Passage("\ud83d", "a\ud800b"), Passage("\ufffd", "a\ufffdb")])
    assert broken == replaced
