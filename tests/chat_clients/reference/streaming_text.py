"""A cell: a generator that takes its time, as a language model does."""

import asyncio
import random

from portico import create_openai_chat_server


# Streaming text generator that simulates an LLM typing response
async def streaming_text_generator(request):
    # Get the user's message from the request
    messages = request.get("messages", [])
    user_message = messages[-1]["content"] if messages else "Hello"

    # Simulate a thinking delay
    await asyncio.sleep(0.5)

    # Define a response text
    response_text = f"I received your message: '{user_message}'. Here's my detailed response:\n\n"
    response_text += "1. First, I want to acknowledge your question.\n"
    response_text += "2. Let me think about this carefully...\n"
    response_text += "3. Based on my analysis, here's what I think...\n"

    # Stream the response word by word
    words = response_text.split()
    for word in words:
        # Yield one word at a time
        yield word + " "
        # Add a small random delay to simulate typing
        await asyncio.sleep(random.uniform(0.05, 0.2))


# Register the streaming model
app = create_openai_chat_server({"streaming-model": streaming_text_generator})
