"""instructor."""

import os

import instructor
from openai import OpenAI
from pydantic import BaseModel


class Cat(BaseModel):
    name: str
    lives: int


openai = OpenAI(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"])
MESSAGES = [{"role": "user", "content": "A cat, please."}]

for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON, instructor.Mode.JSON_SCHEMA):
    client = instructor.from_openai(openai, mode=mode)
    cat = client.chat.completions.create(model="assistant", messages=MESSAGES, response_model=Cat)
    assert (cat.name, cat.lives) == ("Tom", 9), mode
    print(f"structured output, {mode.name}")
    partial = list(client.chat.completions.create_partial(model="assistant", messages=MESSAGES, response_model=Cat))
    assert (partial[-1].name, partial[-1].lives) == ("Tom", 9), mode
    print(f"streaming, {mode.name}")
