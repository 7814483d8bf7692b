"""A client: one question, its answer as it comes."""

import os
import sys

import openai

SERVER_URL, workspace, token = "https://relay.example.org", "my-workspace", os.environ["TOKEN"]

# Use the custom OpenAI server endpoint
client = openai.OpenAI(base_url=f"{SERVER_URL}/{workspace}/apps/openai-chat/v1", api_key=token)

# Create a streaming completion
response = client.chat.completions.create(
    model="streaming-model",
    messages=[{"role": "user", "content": "Tell me about streaming responses"}],
    stream=True,  # Enable streaming
)

# Process the streaming response
for chunk in response:
    # Extract the content delta
    content = chunk.choices[0].delta.content or ""
    if content:
        # Print without newline and flush to show realtime updates
        sys.stdout.write(content)
        sys.stdout.flush()
