"""An OpenAI-compatible server whose generator is a function of the passages in a chat."""

from __future__ import annotations

import re
from types import SimpleNamespace

from tests.support.listwise import knows_the_order, shown
from tests.support.servers.remote_stub import RemoteStub, remote_stub


def by_number(text):
    """The worth of a passage: the first number in it."""
    return float(re.search(r"-?\d+(?:\.\d+)?", text)[0])


class ChatStub(RemoteStub):
    """Orders passages by their `worth`; `says` replaces the text of an answer, of which it gets the right one."""

    def __init__(self, dialect="openai", *, worth=by_number, says=lambda text: text, **options):
        super().__init__(dialect, **options)
        self.worth, self.says = worth, says

    def answer(self, path, body):
        assert path == "/v1/chat/completions"
        names = re.findall(r"Received passage \[(\w+)\]", " ".join(one["content"] for one in body["messages"]))
        chat = SimpleNamespace(messages=body["messages"], identifiers=names)
        text = self.says(knows_the_order(self.worth)(chat).text)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        if body.get("logprobs"):
            choice["logprobs"] = {"content": [self._position(body, names)]}
        return 200, {"object": "chat.completion", "model": body["model"], "choices": [choice]}

    def _position(self, body, names):
        texts = shown(body["messages"], names)
        order = sorted(names, key=lambda name: -self.worth(texts[name]))
        tops = [{"token": name, "logprob": -float(place)} for place, name in enumerate(order)]
        return {**tops[0], "top_logprobs": tops[: body["top_logprobs"]]}


def chat_stub(**options):
    """Serve a stub until the block ends; its base URL is `url` with /v1."""
    return remote_stub("openai", kind=ChatStub, **options)


def completion(text, **choice):
    """A chat completion as JSON."""
    return {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop", **choice}]}
