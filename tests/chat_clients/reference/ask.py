"""A client: one question, its answer in a piece."""

import os

import openai

# Use the custom OpenAI server endpoint
client = openai.OpenAI(base_url=f"{os.environ['SERVER_URL']}portico/apps/openai-chat/v1", api_key=os.environ["TOKEN"])

# Example request
response = client.chat.completions.create(
    model="cat-chat-model",
    messages=[{"role": "user", "content": "Show me a cat image!"}],
    temperature=0.7,
    max_tokens=100,
)

print(response.choices[0].message.content)
