"""The chat that asks a generator to rank passages, as RankGPT (arXiv 2304.09542) and DeAR's stage two write it. No I/O.

The wording is that of the prompts which the models were trained or evaluated with.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sidecar.core.candidates import Passage
from sidecar.core.listwise_spec import ListwiseMode, ListwisePrompt
from sidecar.core.token_guess import CHARACTERS_PER_TOKEN

Message = dict[str, str]

# Characters of a passage for each of its words: for text without spaces, such as Chinese, words limit nothing.
CHARACTERS_PER_WORD = 10
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# Chat models mark their turns so. In a text it must not end the turn.
_CONTROL = ("<|",)


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation to be answered with an order of its passages, and the identifier of each passage in it."""

    messages: tuple[Message, ...]
    identifiers: tuple[str, ...]

    @property
    def guessed_tokens(self) -> int:
        """Return an estimate of the tokens that the generator reads."""
        return 1 + sum(len(message["content"]) for message in self.messages) // CHARACTERS_PER_TOKEN


def identifiers(count: int, mode: ListwiseMode) -> tuple[str, ...]:
    """Name passages: 1, 2, … as RankGPT does; A, B, … to order by the first token, as FIRST does.

    In every vocabulary a letter is one token; a number may be several.
    """
    return tuple(string.ascii_uppercase[:count]) if mode == "first-token" else tuple(map(str, range(1, count + 1)))


def ranking_chat(
    query: str, passages: Sequence[Passage], *, mode: ListwiseMode, prompt: ListwisePrompt, words: int
) -> Chat:
    """Write the chat: an introduction, each passage as a turn of its own, and the request for their order.

    A passage is cut after `words` words. `<|` in a text is written `< |`, since chat models read `<|name|>` as control
    tokens.
    """
    names, asked = identifiers(len(passages), mode), plain(query)
    wording = _PROMPTS[prompt]
    messages = [
        _message("system", wording.system),
        _message("user", wording.introduction(asked, len(passages))),
        _message("assistant", "Okay, please provide the passages."),
    ]
    for name, passage in zip(names, passages, strict=True):
        messages += [
            _message("user", f"[{name}] {passage_text(passage, words)}"),
            _message("assistant", f"Received passage [{name}]."),
        ]
    messages.append(_message("user", wording.request(asked, len(passages), names, mode)))
    return Chat(tuple(messages), names)


def passage_text(passage: Passage, words: int) -> str:
    """Return the first words of a passage, its title marked as the authors of RankGPT mark it."""
    title, text = plain(passage.title).strip(), plain(passage.text)
    whole = f"Title: {title} Content: {text}" if title else text
    # Ten times as many characters as are kept: a passage of megabytes is not split whole.
    limit = CHARACTERS_PER_WORD * words
    return " ".join(whole[: 10 * limit].split()[:words])[:limit]


def plain(text: str, control: Sequence[str] = _CONTROL) -> str:
    """Return a text that holds no control token and no half of a surrogate pair."""
    for token in control:
        text = text.replace(token, f"{token[0]} {token[1:]}")
    return whole_characters(text)


def whole_characters(text: str) -> str:
    """Replace halves of surrogate pairs, which UTF-8 can't hold."""
    return _SURROGATE.sub("\ufffd", text)


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


@dataclass(frozen=True, slots=True)
class _Wording:
    system: str
    introduction: Callable[[str, int], str]
    request: Callable[[str, int, Sequence[str], ListwiseMode], str]


def _rankgpt_introduction(query: str, count: int) -> str:
    return (
        f"I will provide you with {count} passages, each indicated by number identifier []. \n"
        f"Rank the passages based on their relevance to query: {query}."
    )


def _rankgpt_request(query: str, count: int, names: Sequence[str], mode: ListwiseMode) -> str:
    asked = (
        f"Search Query: {query}. \nRank the {count} passages above based on their relevance to the search query. The "
        "passages should be listed in descending order using identifiers. The most relevant passages should be listed "
        f"first. The output format should be [] > [], e.g., [{names[0]}] > [{names[-1]}]. "
    )
    if mode == "think":
        return asked + f"First reason step by step. {_LAST_LINE.format(*_example(names))}"
    return asked + "Only response the ranking results, do not say any word or explain."


def _dear_introduction(query: str, count: int) -> str:
    return (
        f"I will provide you with {count} passages, each indicated by number identifier [].\n"
        f"Rank the passages based on their relevance to query: {query}."
    )


def _dear_request(query: str, count: int, names: Sequence[str], mode: ListwiseMode) -> str:
    asked = (
        f"Search Query: {query}.\nRank the {count} passages above based on their relevance to the search query. The "
        "passages should be listed in descending order using identifiers.\nPlease follow the steps below:\n"
        "Step 1. List the information requirements to answer the query.\n"
        "Step 2. For each requirement, find the passages containing that information.\n"
        "Step 3. Rank passages that best cover clear and diverse information. Include all passages.\n"
    )
    example = _example(names)
    if mode == "think":
        return asked + f"Write down the steps. {_LAST_LINE.format(*example)}"
    shown = " > ".join(f"[{name}]" for name in example)
    return asked + f"Output format strictly: {shown} ... Only output the ranking using identifiers; no explanations."


# The last line of an example in DeAR's training data.
_LAST_LINE = "End with one line in this format: ### Final Reranking: [{}] > [{}] > [{}] ..."


def _example(names: Sequence[str]) -> tuple[str, str, str]:
    """Return the identifiers of DeAR's example, the second first; a window of two has no third."""
    return names[1], names[0], names[min(2, len(names) - 1)]


_PROMPTS = {
    "rankgpt": _Wording(
        "You are RankGPT, an intelligent assistant that can rank passages based on their relevancy to the query.",
        _rankgpt_introduction,
        _rankgpt_request,
    ),
    "dear": _Wording(
        "You are RankLLM, an assistant that ranks passages by relevance to the query.",
        _dear_introduction,
        _dear_request,
    ),
}
