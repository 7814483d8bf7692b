"""A client: one question, its answer in a piece."""

import os

import openai

WS_SERVER_URL, workspace, token = "https://relay.example.org", "my-workspace", os.environ["TOKEN"]

# Use the custom OpenAI server endpoint
client = openai.OpenAI(base_url=f"{WS_SERVER_URL}/{workspace}/apps/openai-chat/v1", api_key=token)

# Example request
response = client.chat.completions.create(
    model="cat-chat-model",
    messages=[{"role": "user", "content": "Show me a cat image!"}],
    temperature=0.7,
    max_tokens=100,
)

print(response.choices[0].message.content)
