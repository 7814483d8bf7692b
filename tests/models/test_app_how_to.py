"""The programs in docs/how-to/chat-models.md run, in the order in which they stand there."""

import re
from pathlib import Path

from portico.models import chat_server
from tests.models.visitor import ask, chat

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "chat-models.md"


def test_the_page():
    space = {}
    for program in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(program, space)
    assert chat(space["app"], stream=True).text == "Meow, you said hello"
    answer = chat(chat_server(space["weather"]), tools=[{"type": "function", "function": {"name": "get_weather"}}])
    assert answer.json["choices"][0]["finish_reason"] == "tool_calls"
    assert chat(chat_server(space["busy"])).status == 429
    embedded = ask(chat_server(space["embed"]), "POST", "/v1/embeddings", {"input": "four"}).json
    assert embedded["data"][0]["embedding"] == [4.0, 1.0]
