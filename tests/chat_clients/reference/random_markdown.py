"""A cell: a generator of random Markdown behind the OpenAI API."""

import random

from portico import create_openai_chat_server


# Random text generator for Markdown with cat images
async def random_markdown_generator(request):
    words = [
        "hello",
        "world",
        "foo",
        "bar",
        "chatbot",
        "test",
        "api",
        "response",
        "markdown",
    ]
    length = request.get("max_tokens", 50)

    for _ in range(length // 5):  # Insert random text every 5 tokens
        markdown_content = ""
        # Add random text
        markdown_content += f"{random.choice(words)} "

        # Occasionally add a cat image in Markdown format
        if random.random() < 0.3:  # 30% chance to insert an image
            markdown_content += f"\n![A random cat](https://cataas.com/cat?{random.randint(1, 1000)})\n"
        if random.random() < 0.1:  # 10% chance to insert a cat video
            markdown_content += '\n<iframe width="560" height="315" src="https://www.youtube.com/embed/7TavVZMewpY" frameborder="0" allow="accelerometer; autoplay; clipboard-write; encrypted-media; gyroscope; picture-in-picture" allowfullscreen></iframe>\n'  # noqa: E501 -- as it was
        yield markdown_content


# Register the model
app = create_openai_chat_server({"cat-chat-model": random_markdown_generator})
