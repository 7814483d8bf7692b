"""A cell, after random_markdown.py: several models behind one URL."""

import random

from portico import create_openai_chat_server
from tests.chat_clients.reference.random_markdown import random_markdown_generator


# Define another generator function
async def basic_text_generator(request):
    messages = ["This is a basic response.", "Hello from the chat model!", "Enjoy your conversation!"]
    yield random.choice(messages)


# Register multiple models
model_registry = {"cat-chat-model": random_markdown_generator, "basic-chat-model": basic_text_generator}

# Serve the models through OpenAI API
app = create_openai_chat_server(model_registry)
